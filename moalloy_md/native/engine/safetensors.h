// Reads safetensors files: 8 bytes with the length of a JSON header, the header, the data.
// Nothing in such a file can execute. https://github.com/huggingface/safetensors describes them.
#ifndef MOALLOY_SAFETENSORS_H
#define MOALLOY_SAFETENSORS_H

#include "json.h"

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace moalloy
{

using Shape = std::vector<int64_t>;

// All that is read is bounded by the size of the file. Every failure is a ModelError
// "PATH: expected ..., found .... What to do".
class SafetensorsFile
{
 public:
  // Opens the file and reads header and metadata. Recognises by content what is no safetensors
  // file. Not yet checked: the table of tensors, because a newer format may have changed it.
  explicit SafetensorsFile(const std::string &path);

  const std::map<std::string, std::string> &metadata() const { return strings; }

  // Checks that the tensors follow each other without hole or overlap and fill the file exactly.
  void read_table();

  // Size of a tensor along an axis that it may not have: then 1.
  int64_t dimension(const std::string &name, size_t axis) const;

  // A tensor's numbers, row-major, all finite; `dtype` is "F32" or "F64".
  std::vector<double> reals(const std::string &name, const std::string &dtype, const Shape &shape);
  std::vector<int> integers(const std::string &name, const Shape &shape);  // I32

  // Refuses a file with tensors that nobody has read.
  void refuse_unread() const;

  [[noreturn]] void refuse(const std::string &expected, const std::string &found,
                           const std::string &advice) const;
  // Puts the path before a sentence of json.h, and the advice behind it.
  [[noreturn]] void refuse(const std::string &sentence, const std::string &advice) const;

 private:
  struct Entry {
    std::string dtype;
    Shape shape;
    uint64_t begin = 0, end = 0;  // bytes, from the end of the header
    bool read = false;
  };

  void open();
  void read_header();
  Entry parse_entry(const Json &value, const std::string &name) const;
  const Entry &find(const std::string &name) const;
  template <typename T>
  std::vector<T> load(const std::string &name, const std::string &dtype, const Shape &shape);

  std::string path;
  std::ifstream stream;
  uint64_t size = 0;         // bytes of the file
  uint64_t header_size = 0;  // bytes, without the 8 of the length
  Json header;
  std::map<std::string, std::string> strings;
  std::map<std::string, Entry> entries;
};

}  // namespace moalloy

#endif
