// A message of PUBLISH or SPUBLISH on its way to another node: item kPublish of a peer link.
//
//   u8 version (1) | u8 flags (1: sharded) | varint length, channel | message, to the item's end
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace holdfast::replica {

// Views: who has one keeps the bytes.
struct Publication {
  bool sharded = false;  // of SPUBLISH: for those who SSUBSCRIBE
  std::string_view channel;
  std::string_view message;
};

// All of the item but the message, so that a large one need not be copied to be sent
// (PeerLink::Send takes both).
std::string EncodePublicationHead(const Publication& publication);
// From all of `bytes`, which the views point into. Corruption for anything that isn't written by
// this version, Unsupported for another version.
Status DecodePublication(std::string_view bytes, Publication* publication);

}  // namespace holdfast::replica
