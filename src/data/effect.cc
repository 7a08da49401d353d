#include "data/effect.h"

#include "base/bytes.h"
#include "data/collection.h"

namespace holdfast::data {
namespace {

constexpr char kPayloadFormat = 1;
constexpr char kAuthorTag = 'A';

size_t VarintSize(uint64_t v) {
  size_t n = 1;
  while (v >= 0x80) {
    v >>= 7;
    ++n;
  }
  return n;
}

void AppendRecordKey(std::string* out, const Effect& effect) {
  AppendVarint(out, kMetaKeyPrefix + effect.key.size());
  AppendMetaKey(out, effect.slot, effect.database, effect.key);
}

void AppendPrefixedMeta(std::string* out, const Meta& meta) {
  std::string bytes;  // fits the small-string buffer or one small allocation; rare effects only
  AppendMeta(&bytes, meta);
  AppendLengthPrefixed(out, bytes);
}

// Writes the record's length before its bytes without building the record elsewhere first.
void AppendPutValue(std::string* out, const Effect& effect) {
  const Meta& meta = effect.meta;
  size_t size = 3 + 8 + VarintSize(meta.revision - meta.created) + VarintSize(meta.version);
  if (meta.expire_at_ms != 0) size += VarintSize(static_cast<uint64_t>(meta.expire_at_ms));
  if (meta.fence != 0) size += VarintSize(meta.fence);
  AppendVarint(out, size + effect.value.size());
  const size_t before = out->size();
  AppendMeta(out, meta);
  CHECK(out->size() - before == size);
  out->append(effect.value);
}

bool ReadRecordKey(ByteReader* in, Effect* effect) {
  return in->ReadLengthPrefixed(&effect->record_key) &&
         ParseMetaKey(effect->record_key, &effect->slot, &effect->database, &effect->key);
}

Status ReadPrefixedMeta(ByteReader* in, Meta* meta) {
  std::string_view bytes;
  std::string_view rest;
  if (!in->ReadLengthPrefixed(&bytes)) return Status::Corruption("effect is cut short");
  RETURN_IF_ERROR(ParseMeta(bytes, meta, &rest));
  if (!rest.empty()) return Status::Corruption("effect has bytes behind its meta");
  return Status::Ok();
}

Status ReadPatch(ByteReader* in, Effect* effect) {
  RETURN_IF_ERROR(ReadPrefixedMeta(in, &effect->meta));
  if (!in->ReadVarint(&effect->offset) || !in->ReadVarint(&effect->new_size) ||
      !in->ReadLengthPrefixed(&effect->value)) {
    return Status::Corruption("patch effect is cut short");
  }
  if (effect->new_size > UINT32_MAX || effect->offset > effect->new_size ||
      effect->value.size() > effect->new_size - effect->offset) {
    return Status::Corruption("patch effect reaches outside its value");
  }
  return Status::Ok();
}

Status ReadCopy(ByteReader* in, Effect* effect) {
  RETURN_IF_ERROR(ReadPrefixedMeta(in, &effect->meta));
  uint8_t moves;
  if (!in->ReadLengthPrefixed(&effect->value) || !in->ReadLengthPrefixed(&effect->source) ||
      !in->ReadVarint(&effect->generation) || !in->ReadByte(&moves) || moves > 1) {
    return Status::Corruption("copy effect is cut short");
  }
  effect->moves = moves == 1;
  return CheckHead(effect->meta.type, effect->value);
}

Status ReadEffect(ByteReader* in, Effect* effect) {
  uint8_t kind;
  if (!in->ReadByte(&kind)) return Status::Corruption("effect is cut short");
  effect->kind = static_cast<EffectKind>(kind);
  if (effect->kind == EffectKind::kDatabases) {
    if (!in->ReadLengthPrefixed(&effect->value) || !in->ReadVarint(&effect->meta.revision)) {
      return Status::Corruption("databases effect is cut short");
    }
    DatabaseMap map;
    return ParseDatabaseMap(effect->value, &map);
  }
  if (!ReadRecordKey(in, effect)) return Status::Corruption("effect has a damaged key");
  switch (effect->kind) {
    case EffectKind::kPut:
      if (!in->ReadLengthPrefixed(&effect->record)) {
        return Status::Corruption("put effect is cut short");
      }
      return ParseMeta(effect->record, &effect->meta, &effect->value);
    case EffectKind::kDelete:
      if (!in->ReadVarint(&effect->meta.revision)) {
        return Status::Corruption("delete effect is cut short");
      }
      return Status::Ok();
    case EffectKind::kPatch:
      return ReadPatch(in, effect);
    case EffectKind::kMeta:
      return ReadPrefixedMeta(in, &effect->meta);
    case EffectKind::kElements:
      RETURN_IF_ERROR(ReadPrefixedMeta(in, &effect->meta));
      if (!in->ReadLengthPrefixed(&effect->value) || !in->ReadLengthPrefixed(&effect->changes)) {
        return Status::Corruption("elements effect is cut short");
      }
      RETURN_IF_ERROR(CheckHead(effect->meta.type, effect->value));
      return ForEachChange(effect->changes, [effect](const ElementChange& change) {
        // What isn't there can't be deleted: the head would tell.
        if (change.is_delete) return Status::Ok();
        return CheckElement(effect->meta.type, change.element, change.value);
      });
    case EffectKind::kCopy:
      return ReadCopy(in, effect);
    case EffectKind::kRemove:
      if (!in->ReadVarint(&effect->meta.revision) || !in->ReadVarint(&effect->meta.created)) {
        return Status::Corruption("remove effect is cut short");
      }
      return Status::Ok();
    default:
      return Status::Unsupported("effect of an unknown kind " + std::to_string(kind));
  }
}

// Takes an author, when one is next; there has to be an effect behind it.
Status ReadAuthor(ByteReader* in, Author* author) {
  if (in->rest().front() != kAuthorTag) return Status::Ok();
  uint8_t tag;
  if (!in->ReadByte(&tag) || !in->ReadVarint(&author->node) || !in->ReadVarint(&author->client) ||
      in->empty()) {
    return Status::Corruption("author is cut short");
  }
  return Status::Ok();
}

}  // namespace

void AppendPayloadHeader(std::string* payload) { payload->push_back(kPayloadFormat); }

void AppendEffect(std::string* payload, const Effect& effect) {
  payload->push_back(static_cast<char>(effect.kind));
  if (effect.kind == EffectKind::kDatabases) {
    AppendLengthPrefixed(payload, effect.value);
    AppendVarint(payload, effect.meta.revision);
    return;
  }
  AppendRecordKey(payload, effect);
  switch (effect.kind) {
    case EffectKind::kPut:
      AppendPutValue(payload, effect);
      break;
    case EffectKind::kDelete:
      AppendVarint(payload, effect.meta.revision);
      break;
    case EffectKind::kPatch:
      AppendPrefixedMeta(payload, effect.meta);
      AppendVarint(payload, effect.offset);
      AppendVarint(payload, effect.new_size);
      AppendLengthPrefixed(payload, effect.value);
      break;
    case EffectKind::kMeta:
      AppendPrefixedMeta(payload, effect.meta);
      break;
    case EffectKind::kElements:
      AppendPrefixedMeta(payload, effect.meta);
      AppendLengthPrefixed(payload, effect.value);
      AppendLengthPrefixed(payload, effect.changes);
      break;
    case EffectKind::kRemove:
      AppendVarint(payload, effect.meta.revision);
      AppendVarint(payload, effect.meta.created);
      break;
    case EffectKind::kCopy:
      AppendPrefixedMeta(payload, effect.meta);
      AppendLengthPrefixed(payload, effect.value);
      AppendLengthPrefixed(payload, effect.source);
      AppendVarint(payload, effect.generation);
      payload->push_back(effect.moves ? 1 : 0);
      break;
    case EffectKind::kDatabases:
      break;
  }
}

void AppendAuthor(std::string* payload, const Author& author) {
  payload->push_back(kAuthorTag);
  AppendVarint(payload, author.node);
  AppendVarint(payload, author.client);
}

Status ForEachEffect(std::string_view payload, const std::function<Status(const Effect&)>& visit) {
  ByteReader in(payload);
  uint8_t format;
  if (!in.ReadByte(&format)) return Status::Corruption("empty payload");
  if (format != kPayloadFormat) return Status::Unsupported("payload of a newer format");
  Author author;
  while (!in.empty()) {
    RETURN_IF_ERROR(ReadAuthor(&in, &author));
    Effect effect;
    effect.author = author;
    RETURN_IF_ERROR(ReadEffect(&in, &effect));
    RETURN_IF_ERROR(visit(effect));
  }
  return Status::Ok();
}

}  // namespace holdfast::data
