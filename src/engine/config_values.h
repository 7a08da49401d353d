// Internal to config.cc, config_special.cc and config_table.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace holdfast::engine {

struct Config;

// The words of `text`, which blanks and tabs separate. They point into `text`.
std::vector<std::string_view> SplitWords(std::string_view text);

// ---- config_special.cc: options as SpecialField has them.
Status SetBind(Config* config, std::string_view value);
std::string GetBind(const Config& config);
Status SetDir(Config* config, std::string_view value);
std::string GetDir(const Config& config);
Status SetClusterAnnounce(Config* config, std::string_view value);
std::string GetClusterAnnounce(const Config& config);
Status SetJoin(Config* config, std::string_view value);
std::string GetJoin(const Config& config);
Status SetOutputLimits(Config* config, std::string_view value);
std::string GetOutputLimits(const Config& config);
Status SetKeyEvents(Config* config, std::string_view value);
std::string GetKeyEvents(const Config& config);
Status SetPercentiles(Config* config, std::string_view value);
std::string GetPercentiles(const Config& config);
Status SetSave(Config* config, std::string_view value);
std::string GetSave(const Config& config);
Status SetAclPubsubDefault(Config* config, std::string_view value);
std::string GetAclPubsubDefault(const Config& config);
Status SetUsers(Config* config, std::string_view value);
std::string GetUsers(const Config& config);

}  // namespace holdfast::engine
