#include "safetensors.h"

#include "model.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <tuple>
#include <utility>

namespace moalloy
{

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

namespace
{

const std::string wanted = "a model.safetensors of moalloy_md";
const std::string copy_again = "Copy the file again, or export the model again: "
                               "'moalloy export MODEL --out BUNDLE'";
const std::string export_it = "Run 'moalloy export MODEL --out BUNDLE', MODEL being the .model "
                              "file of the training, and give the model.safetensors in BUNDLE";

constexpr uint64_t length_bytes = 8;
constexpr uint64_t max_header = 16 << 20;  // bytes; a MACE model needs some 20,000

std::string bytes(uint64_t count) { return std::to_string(count) + " bytes"; }

// ASCII in the main, without control characters.
bool is_text(std::string_view head)
{
  const auto outside = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  const auto plausible = [&outside](char c) {
    return outside(c) || (c >= 0x20 && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
  };
  const auto others = static_cast<size_t>(std::count_if(head.begin(), head.end(), outside));
  return 2 * others < head.size() && std::all_of(head.begin(), head.end(), plausible);
}

// What a file that begins so is instead of safetensors, and what to do; empty where it may be
// safetensors. A length below 2^32 has zeros in its upper half: no text does.
std::pair<std::string, std::string> foreign(std::string_view head)
{
  if (head.starts_with("PK\3\4"))
    return {"a zip archive: a .model of mace-torch, or TorchScript such as model-lammps.pt",
            export_it};
  if (head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
    return {"a Python pickle", export_it};
  if (head.starts_with("version https://git-lfs"))
    return {"a Git LFS pointer", "Run 'git lfs pull' where it comes from"};
  if (head.size() <= length_bytes && !is_text(head))
    return {"a file of " + bytes(head.size()), copy_again};
  if (head.size() > length_bytes && head[length_bytes] == '{' &&
      head.substr(4, 4) == std::string_view("\0\0\0\0", 4))
    return {};
  if (is_text(head))
    return {"text that begins " + shown(head.substr(0, head.find_first_of("\r\n"))),
            "A failed download leaves such a file. Check the path. " + copy_again};
  return {"something else that begins " + shown(head.substr(0, length_bytes)),
          "Check the path. " + export_it};
}

size_t item_size(const std::string &dtype)
{
  return dtype == "F64" ? 8 : dtype == "F32" || dtype == "I32" ? 4 : 0;
}

// Bytes of a tensor; nothing where that overflows.
std::optional<uint64_t> tensor_size(const std::string &dtype, const Shape &shape)
{
  uint64_t result = item_size(dtype);
  for (const int64_t n : shape) {
    const auto factor = static_cast<uint64_t>(n);
    if (factor != 0 && result > std::numeric_limits<uint64_t>::max() / factor) return {};
    result *= factor;
  }
  return result;
}

std::string describe(const std::string &dtype, const Shape &shape)
{
  std::string result = dtype + " (";
  for (size_t i = 0; i < std::min<size_t>(shape.size(), 8); ++i)
    result += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return result + (shape.size() > 8 ? ", ...)" : ")");
}

// The numbers of a JSON list, none of them negative.
std::vector<int64_t> counts(const Json::Array &items, const std::string &name)
{
  std::vector<int64_t> result;
  for (const Json &item : items) {
    const auto *number = item.as<Json::Number>();
    if (number == nullptr || !number->integer || *number->integer < 0)
      throw_expected(name + " as integers from 0", describe(item));
    result.push_back(*number->integer);
  }
  return result;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string &path) : path(path)
{
  open();
  read_header();
}

void SafetensorsFile::refuse(const std::string &expected, const std::string &found,
                             const std::string &advice) const
{
  refuse("expected " + expected + ", found " + found, advice);
}

void SafetensorsFile::refuse(const std::string &sentence, const std::string &advice) const
{
  throw ModelError(path + ": " + sentence + ". " + advice);
}

// Opens only what is a plain file: a pipe would wait for ever, a device has no end.
void SafetensorsFile::open()
{
  namespace fs = std::filesystem;
  std::error_code error;
  const auto kind = fs::status(path, error).type();
  if (path.empty() || path.find('\0') != path.npos || kind == fs::file_type::not_found)
    refuse(wanted, "no such file", "Check the path");
  if (kind == fs::file_type::directory)
    refuse(wanted, "a folder",
           "If it is a bundle of 'moalloy export', give the model.safetensors in it");
  if (kind != fs::file_type::regular && !error)
    refuse(wanted, "a device or a pipe", "Check the path");
  if (!error) size = fs::file_size(path, error);
  errno = 0;
  if (!error) stream.open(path, std::ios::binary);
  if (error || !stream)
    refuse(wanted,
           "a file that cannot be opened (" + (error ? error.message() : std::strerror(errno)) +
               ")",
           "Check the path and its permissions");
  if (size == 0) refuse(wanted, "an empty file", copy_again);
}

void SafetensorsFile::read_header()
{
  std::string head(std::min<uint64_t>(size, 512), '\0');
  const auto read = [this](std::string &text) {
    if (!stream.read(text.data(), static_cast<std::streamsize>(text.size())))
      refuse("a file that can be read", "an error of the disk or a file that changes", copy_again);
  };
  read(head);
  if (const auto [found, advice] = foreign(head); !found.empty()) refuse(wanted, found, advice);

  std::memcpy(&header_size, head.data(), sizeof header_size);
  if (header_size > max_header)
    refuse("a header of at most " + bytes(max_header), bytes(header_size), copy_again);
  if (header_size > size - length_bytes)
    refuse("a header of " + bytes(header_size),
           "the file's end after " + bytes(size - length_bytes), copy_again);
  std::string text(header_size, '\0');
  stream.seekg(length_bytes);
  read(text);
  try {
    header = parse_json(text, "the header");
    if (header.as<Json::Object>() == nullptr)
      throw_expected("a header that is a JSON object", describe(header));
    for (const JsonMember &member : *header.as<Json::Object>()) {
      if (member.key != "__metadata__") continue;
      JsonFields fields(member.value, member.key);
      for (const JsonMember &pair : *member.value.as<Json::Object>())
        strings[pair.key] = fields.text(pair.key);
    }
  } catch (const ModelError &error) {
    refuse(error.what(), copy_again);
  }
}

SafetensorsFile::Entry SafetensorsFile::parse_entry(const Json &value,
                                                    const std::string &name) const
{
  JsonFields fields(value, "tensor " + shown(name));
  Entry entry;
  entry.dtype = fields.text("dtype");
  if (item_size(entry.dtype) == 0)
    throw_expected(fields.place("dtype") + " as F64, F32 or I32", shown(entry.dtype));
  entry.shape = counts(fields.array("shape"), fields.place("shape"));
  const auto offsets = counts(fields.array("data_offsets"), fields.place("data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw_expected(fields.place("data_offsets") + " as [begin, end]",
                   offsets.size() == 2 ? "an end before the begin" : "another number of them");
  fields.finish();
  entry.begin = static_cast<uint64_t>(offsets[0]);
  entry.end = static_cast<uint64_t>(offsets[1]);
  const auto expected = tensor_size(entry.dtype, entry.shape);
  if (expected != entry.end - entry.begin)
    throw_expected((expected ? bytes(*expected) : "less than 2^64 bytes") + " for tensor " +
                       shown(name) + " = " + describe(entry.dtype, entry.shape),
                   bytes(entry.end - entry.begin));
  return entry;
}

void SafetensorsFile::read_table()
{
  const uint64_t data = length_bytes + header_size;
  std::vector<std::tuple<uint64_t, uint64_t, std::string>> order;
  try {
    for (const JsonMember &member : *header.as<Json::Object>()) {
      if (member.key == "__metadata__") continue;
      const Entry entry = parse_entry(member.value, member.key);
      order.emplace_back(entry.begin, entry.end, member.key);
      entries[member.key] = entry;
    }
    header = {};
    std::sort(order.begin(), order.end());
    uint64_t at = 0;
    for (const auto &[begin, end, name] : order) {
      if (begin != at)
        throw_expected("tensor " + shown(name) + " at byte " + std::to_string(at) +
                           " of the data, where the one before ends",
                       "it at byte " + std::to_string(begin));
      at = end;
    }
    if (at != size - data)
      throw_expected(bytes(at) + " of data behind the header", bytes(size - data));
  } catch (const ModelError &error) {
    refuse(error.what(), copy_again);
  }
}

const SafetensorsFile::Entry &SafetensorsFile::find(const std::string &name) const
{
  const auto entry = entries.find(name);
  if (entry == entries.end()) refuse("tensor " + name, "none of this name", copy_again);
  return entry->second;
}

int64_t SafetensorsFile::dimension(const std::string &name, size_t axis) const
{
  const Shape &shape = find(name).shape;
  return axis < shape.size() ? shape[axis] : 1;
}

template <typename T>
std::vector<T> SafetensorsFile::load(const std::string &name, const std::string &dtype,
                                     const Shape &shape)
{
  const Entry &entry = find(name);
  if (entry.dtype != dtype || entry.shape != shape)
    refuse("tensor " + name + " as " + describe(dtype, shape), describe(entry.dtype, entry.shape),
           copy_again);
  entries[name].read = true;
  const uint64_t count = entry.end - entry.begin;
  std::vector<T> values(count / sizeof(T));
  stream.seekg(static_cast<std::streamoff>(length_bytes + header_size + entry.begin));
  stream.read(reinterpret_cast<char *>(values.data()), static_cast<std::streamsize>(count));
  if (!stream)
    refuse(bytes(count) + " of tensor " + name, "an error of the disk or a file that changes",
           copy_again);
  return values;
}

std::vector<double> SafetensorsFile::reals(const std::string &name, const std::string &dtype,
                                           const Shape &shape)
{
  std::vector<double> values;
  if (dtype == "F64") {
    values = load<double>(name, dtype, shape);
  } else {
    const auto singles = load<float>(name, dtype, shape);
    values.assign(singles.begin(), singles.end());
  }
  const auto finite = [](double value) { return std::isfinite(value); };
  const auto bad = std::find_if_not(values.begin(), values.end(), finite);
  if (bad != values.end())
    refuse("finite numbers in tensor " + name,
           std::to_string(*bad) + " as number " + std::to_string(bad - values.begin()), copy_again);
  return values;
}

std::vector<int> SafetensorsFile::integers(const std::string &name, const Shape &shape)
{
  static_assert(sizeof(int) == 4);
  return load<int>(name, "I32", shape);
}

void SafetensorsFile::refuse_unread() const
{
  for (const auto &[name, entry] : entries)
    if (!entry.read)
      refuse("only the tensors that the header's model calls for", shown(name), copy_again);
}

}  // namespace moalloy
