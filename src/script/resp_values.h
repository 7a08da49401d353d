// Values between RESP and Lua, as Redis converts them.
//
// Both functions may raise Lua errors (memory): call them in protected mode, with no C++ object
// alive whose destructor matters. Loop thread of the machine's core only.
#pragma once

#include <cstddef>
#include <string_view>

#include "resp/writer.h"
#include "script/lua.h"

namespace holdfast::script {

// Pushes the reply at the front of `reply` as one Lua value and takes it off the front. The bytes
// are those of resp::Writer, so they are well formed.
//   integer → number; bulk → string; null → false, RESP3 nil; status → {ok=}; error → {err=};
//   array → table; RESP3: map → {map=}, set → {set=}, double → {double=}, boolean,
//   big number → {big_number=}, verbatim → {verbatim_string={string=,format=}}; attributes are
//   dropped
void PushReply(lua_State* lua, std::string_view* reply);

// Writes the value at the top of the stack as one reply, and pops it. `script_protocol` is what the
// script has chosen by redis.setresp: with 2, true is the integer 1 and false a null.
// Stops with an error as the innermost element where tables are nested too deep, as Redis does, and
// writes no more than `max_bytes` and a little: then it returns false and what it wrote is no
// reply.
bool WriteValue(lua_State* lua, resp::Writer& writer, int script_protocol, size_t max_bytes);

// A number as an integer: cut, and as on x86 the smallest integer where it is out of range.
int64_t ToInteger(double number);

}  // namespace holdfast::script
