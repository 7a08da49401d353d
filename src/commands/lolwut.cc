#include "commands/lolwut.h"

#include <array>
#include <string_view>

#include "base/rng.h"
#include "engine/version.h"

namespace holdfast::commands {
namespace {

constexpr size_t kWidth = 64;
constexpr size_t kHeight = 11;
constexpr size_t kWaterLine = 6;

using Canvas = std::array<std::string, kHeight>;

void Put(Canvas* canvas, size_t row, size_t column, std::string_view text) {
  for (size_t i = 0; i < text.size() && column + i < kWidth; ++i) {
    if (text[i] != ' ') (*canvas)[row][column + i] = text[i];
  }
}

void DrawBoat(Canvas* canvas, size_t column) {
  Put(canvas, kWaterLine - 4, column, "   |");
  Put(canvas, kWaterLine - 3, column, "  /|\\");
  Put(canvas, kWaterLine - 2, column, " /_|_\\");
  Put(canvas, kWaterLine - 1, column, "\\_____/");
  // The line, and the anchor that holds fast.
  Put(canvas, kWaterLine + 1, column + 3, ":");
  Put(canvas, kWaterLine + 2, column + 3, ":");
  Put(canvas, kWaterLine + 3, column + 1, "\\_|_/");
}

}  // namespace

std::string DrawLolwut(uint64_t seed) {
  Rng rng(seed);
  Canvas canvas;
  for (std::string& line : canvas) line.assign(kWidth, ' ');
  for (size_t i = 0; i < kWidth; ++i) {
    canvas[kWaterLine][i] = rng.Below(3) == 0 ? '-' : '~';
    canvas[kHeight - 1][i] = rng.Below(5) == 0 ? 'o' : '_';
  }
  for (size_t i = 0; i < 5; ++i) canvas[rng.Below(2)][rng.Below(kWidth)] = '*';
  size_t column = rng.Below(8);
  while (column + 8 < kWidth) {
    DrawBoat(&canvas, column);
    column += 10 + rng.Below(10);
  }
  std::string text;
  for (std::string& line : canvas) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  text += "\nHoldfast ver. " + std::string(engine::kVersion) + " (Redis ver. " +
          std::string(engine::kRedisVersion) + ")\n";
  return text;
}

}  // namespace holdfast::commands
