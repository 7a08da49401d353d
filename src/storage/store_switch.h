// One store takes the place of another (PITFALLS P15): what a crash leaves at any moment is the old
// one or the new one, whole.
//
//     <path>           the store that counts
//     <path>.incoming  the one that is to take its place; of no worth after a crash
//     <path>.old       the one whose place was taken; counts again as long as <path> is missing
//
//   SwitchStores:   <path> ─▶ .old    .incoming ─▶ <path>    .old removed
//   a crash here:   |  old store      | old store, put back  | new store
//
// Blocks on the disk: an I/O thread, or start-up.
#pragma once

#include <string>

#include "base/status.h"
#include "storage/store.h"

namespace holdfast::storage {

std::string IncomingPath(const std::string& path);
std::string OldPath(const std::string& path);

// Puts the incoming store in the place of the one at `path`. After an error the process has to end;
// SettleSwitch makes up its mind. REQUIRES: neither is open; what the incoming one contains is
// durable; SettleSwitch has succeeded since the last error.
Status SwitchStores(StoreFactory* factory, const std::string& path);

// Ends what a crash has interrupted: afterwards `path` holds a whole store, or there never was one,
// and nothing is beside it. REQUIRES: none is open.
Status SettleSwitch(StoreFactory* factory, const std::string& path);

}  // namespace holdfast::storage
