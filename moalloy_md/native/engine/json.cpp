#include "json.h"

#include "model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace moalloy
{

namespace
{

constexpr int max_depth = 32;
constexpr int max_values = 300000;  // of 48 bytes: what a hostile header can make us allocate

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Length of the UTF-8 sequence that `text` begins with; 0 where it is none (RFC 3629: no
// overlong forms, no surrogates, nothing above U+10FFFF).
size_t utf8_length(std::string_view text)
{
  const auto byte = [&text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool outside = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || outside ? 0 : length;
}

void append_utf8(std::string &text, unsigned code)
{
  const auto put = [&text](unsigned byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

class Parser
{
 public:
  Parser(std::string_view text, const std::string &name) : text(text), name(name) {}

  Json document()
  {
    Json result = value(0);
    skip_space();
    if (at < text.size()) fail("nothing more");
    return result;
  }

 private:
  std::string_view text;
  const std::string &name;
  size_t at = 0;
  int values = 0;

  [[noreturn]] void fail(const std::string &expected) const
  {
    throw_expected(expected + " at byte " + std::to_string(at) + " of " + name,
                   at < text.size() ? shown(text.substr(at, 12)) : "its end");
  }

  char peek() const { return at < text.size() ? text[at] : '\0'; }

  bool accept(char c)
  {
    if (at >= text.size() || text[at] != c) return false;
    ++at;
    return true;
  }

  void skip_space()
  {
    while (at < text.size() && std::string_view(" \t\n\r").find(text[at]) != text.npos) ++at;
  }

  bool accept_word(std::string_view word)
  {
    if (text.substr(at, word.size()) != word) return false;
    at += word.size();
    return true;
  }

  Json value(int depth)
  {
    if (depth > max_depth) fail("at most " + std::to_string(max_depth) + " levels of nesting");
    if (++values > max_values) fail("at most " + std::to_string(max_values) + " values");
    skip_space();
    switch (peek()) {
    case '{':
      return {object(depth)};
    case '[':
      return {array(depth)};
    case '"':
      return {string()};
    default:
      break;
    }
    if (accept_word("null")) return {nullptr};
    if (accept_word("true")) return {true};
    if (accept_word("false")) return {false};
    if (peek() == '-' || is_digit(peek())) return {number()};
    fail("a JSON value");
  }

  Json::Object object(int depth)
  {
    Json::Object members;
    accept('{');
    skip_space();
    if (accept('}')) return members;
    do {
      skip_space();
      if (peek() != '"') fail("a key in double quotes");
      std::string key = string();
      skip_space();
      if (!accept(':')) fail("':'");
      members.push_back({std::move(key), value(depth + 1)});
      skip_space();
    } while (accept(','));
    if (!accept('}')) fail("',' or '}'");
    const auto by_key = [](const auto &a, const auto &b) { return a.key < b.key; };
    std::sort(members.begin(), members.end(), by_key);
    const auto same_key = [](const auto &a, const auto &b) { return a.key == b.key; };
    const auto twice = std::adjacent_find(members.begin(), members.end(), same_key);
    if (twice != members.end())
      throw_expected("each key of an object in " + name + " once", shown(twice->key) + " twice");
    return members;
  }

  Json::Array array(int depth)
  {
    Json::Array items;
    accept('[');
    skip_space();
    if (accept(']')) return items;
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (accept(','));
    if (!accept(']')) fail("',' or ']'");
    return items;
  }

  void digits()
  {
    if (!is_digit(peek())) fail("a digit");
    while (is_digit(peek())) ++at;
  }

  Json::Number number()
  {
    const size_t start = at;
    bool integral = true;
    accept('-');
    if (!accept('0')) digits();
    if (accept('.')) {
      integral = false;
      digits();
    }
    if (accept('e') || accept('E')) {
      integral = false;
      if (!accept('+')) accept('-');
      digits();
    }
    const char *begin = text.data() + start, *end = text.data() + at;
    Json::Number result{0.0, std::nullopt};
    if (std::from_chars(begin, end, result.value).ec != std::errc()) {
      at = start;
      fail("a number that a double can hold");
    }
    int64_t integer = 0;
    if (integral && std::from_chars(begin, end, integer).ec == std::errc())
      result.integer = integer;
    return result;
  }

  unsigned hex4()
  {
    unsigned code = 0;
    const std::string_view four = text.substr(at, 4);
    const char *end = four.data() + four.size();
    if (four.size() < 4 || std::from_chars(four.data(), end, code, 16).ptr != end)
      fail("four hexadecimal digits");
    at += 4;
    return code;
  }

  void escape(std::string &result)
  {
    static constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
    if (accept('u')) {
      unsigned code = hex4();
      if (code >= 0xd800 && code < 0xdc00) {  // the first half of a pair
        const unsigned second = accept_word("\\u") ? hex4() : 0;
        if (second < 0xdc00 || second > 0xdfff) fail("the second half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
      } else if (code >= 0xdc00 && code < 0xe000) {
        fail("the first half of a surrogate pair before the second");
      }
      append_utf8(result, code);
      return;
    }
    const size_t which = at < text.size() ? letters.find(text[at]) : letters.npos;
    if (which == letters.npos) fail("an escape sequence of JSON");
    result.push_back(meanings[which]);
    ++at;
  }

  std::string string()
  {
    std::string result;
    accept('"');
    while (!accept('"')) {
      if (accept('\\')) {
        escape(result);
        continue;
      }
      if (at >= text.size()) fail("'\"'");
      const size_t length = utf8_length(text.substr(at));
      if (length == 0 || static_cast<unsigned char>(text[at]) < 0x20) fail("UTF-8 text");
      result.append(text.substr(at, length));
      at += length;
    }
    return result;
  }
};

std::string shortest(double value)
{
  std::array<char, 32> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

std::string range(int low, int high)
{
  return " from " + std::to_string(low) + " to " + std::to_string(high);
}

int json_integer(const Json &value, const std::string &name, int low, int high)
{
  const auto *number = value.as<Json::Number>();
  if (number == nullptr || !number->integer || *number->integer < low || *number->integer > high)
    throw_expected(name + " as an integer" + range(low, high), describe(value));
  return static_cast<int>(*number->integer);
}

}  // namespace

Json parse_json(std::string_view text, const std::string &name)
{
  return Parser(text, name).document();
}

void throw_expected(const std::string &expected, const std::string &found)
{
  throw ModelError("expected " + expected + ", found " + found);
}

std::string shown(std::string_view text)
{
  constexpr size_t most = 60;
  std::string result = "'";
  for (const char c : text.substr(0, most)) result.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  return result + (text.size() > most ? "...'" : "'");
}

std::string describe(const Json &value)
{
  if (const auto *boolean = value.as<bool>()) return *boolean ? "true" : "false";
  if (const auto *number = value.as<Json::Number>())
    return number->integer ? std::to_string(*number->integer) : shortest(number->value);
  if (const auto *text = value.as<std::string>()) return shown(*text);
  if (const auto *array = value.as<Json::Array>())
    return "a list of " + std::to_string(array->size());
  return value.as<Json::Object>() != nullptr ? "an object" : "null";
}

std::vector<int> json_integers(const Json &value, const std::string &name, int low, int high)
{
  const auto *items = value.as<Json::Array>();
  if (items == nullptr) throw_expected(name + " as a list of integers", describe(value));
  std::vector<int> result;
  result.reserve(items->size());
  for (size_t i = 0; i < items->size(); ++i)
    result.push_back(json_integer((*items)[i], name + "[" + std::to_string(i) + "]", low, high));
  return result;
}

JsonFields::JsonFields(const Json &value, std::string name)
    : members(value.as<Json::Object>()), name(std::move(name))
{
  if (members == nullptr)
    throw_expected(this->name.empty() ? "an object" : this->name + " as an object",
                   describe(value));
}

std::string JsonFields::place(const std::string &key) const
{
  return name.empty() ? key : name + "." + key;
}

const Json &JsonFields::any(const std::string &key)
{
  const auto before = [](const JsonMember &member, const std::string &k) { return member.key < k; };
  const auto found = std::lower_bound(members->begin(), members->end(), key, before);
  if (found == members->end() || found->key != key)
    throw_expected("the field " + place(key), "none");
  read.insert(key);
  return found->value;
}

int JsonFields::integer(const std::string &key, int low, int high)
{
  return json_integer(any(key), place(key), low, high);
}

double JsonFields::number(const std::string &key)
{
  const Json &value = any(key);
  const auto *number = value.as<Json::Number>();
  if (number == nullptr) throw_expected(place(key) + " as a number", describe(value));
  return number->value;
}

double JsonFields::positive(const std::string &key)
{
  const double value = number(key);
  if (!(value > 0.0)) throw_expected(place(key) + " as a positive number", describe(any(key)));
  return value;
}

bool JsonFields::boolean(const std::string &key)
{
  const Json &value = any(key);
  const auto *boolean = value.as<bool>();
  if (boolean == nullptr) throw_expected(place(key) + " as true or false", describe(value));
  return *boolean;
}

const std::string &JsonFields::text(const std::string &key)
{
  const Json &value = any(key);
  const auto *text = value.as<std::string>();
  if (text == nullptr) throw_expected(place(key) + " as text", describe(value));
  return *text;
}

const Json::Array &JsonFields::array(const std::string &key)
{
  const Json &value = any(key);
  const auto *array = value.as<Json::Array>();
  if (array == nullptr) throw_expected(place(key) + " as a list", describe(value));
  return *array;
}

std::vector<int> JsonFields::integers(const std::string &key, int low, int high)
{
  return json_integers(any(key), place(key), low, high);
}

void JsonFields::finish() const
{
  for (const JsonMember &member : *members)
    if (!read.contains(member.key))
      throw_expected("only fields that this version of moalloy_md knows", place(shown(member.key)));
}

}  // namespace moalloy
