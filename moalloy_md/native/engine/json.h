// A small strict JSON reader (RFC 8259) for headers that are held in memory whole.
#ifndef MOALLOY_JSON_H
#define MOALLOY_JSON_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace moalloy
{

struct JsonMember;

struct Json {
  struct Number {
    double value;
    std::optional<int64_t> integer;  // where it was written without fraction and exponent, and fits
  };
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;  // sorted by key, each key once

  std::variant<std::nullptr_t, bool, Number, std::string, Array, Object> content = nullptr;

  // Null where this is something else.
  template <typename T> const T *as() const { return std::get_if<T>(&content); }
};

struct JsonMember {
  std::string key;
  Json value;
};

// The sentences thrown here, by JsonFields and by throw_expected are "expected ..., found ...":
// whoever knows the file puts its path before and what to do behind.
//
// Throws ModelError: not JSON, NaN, a key twice, nested deeper than 32, more than 300,000 values.
// `name` is what the sentence calls the text.
Json parse_json(std::string_view text, const std::string &name);

[[noreturn]] void throw_expected(const std::string &expected, const std::string &found);

// Text from a file as a sentence may show it on a terminal: quoted, cut, printable ASCII only.
std::string shown(std::string_view text);

// A value in a few words.
std::string describe(const Json &value);

// Throws ModelError where the value is no array of integers in [low, high].
std::vector<int> json_integers(const Json &value, const std::string &name, int low, int high);

// Reads an object field by field; each access throws ModelError where the field is missing or
// something else than asked for. finish() refuses the fields that nobody asked for.
class JsonFields
{
 public:
  // `name` is the object's own place, such as "layers[1]"; empty at the top. `value` must outlive
  // this.
  JsonFields(const Json &value, std::string name);

  const Json &any(const std::string &key);
  int integer(const std::string &key, int low, int high);
  double number(const std::string &key);
  double positive(const std::string &key);
  bool boolean(const std::string &key);
  const std::string &text(const std::string &key);
  const Json::Array &array(const std::string &key);
  std::vector<int> integers(const std::string &key, int low, int high);
  void finish() const;

  // The place of a field, for sentences.
  std::string place(const std::string &key) const;

 private:
  const Json::Object *members;
  std::string name;
  std::set<std::string> read;
};

}  // namespace moalloy

#endif
