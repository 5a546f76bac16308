// The records of tests/records, and the keys of records and of whole storages. Key material is in
// clear here: the tests' own.
#ifndef TESTS_SUPPORT_RECORDS_H_
#define TESTS_SUPPORT_RECORDS_H_

#include <set>
#include <string>

#include "base/json.h"
#include "mek/record.h"
#include "support/tx_store.h"

namespace testing_support {

// The fields of tests/records/NAME.json.
base::Json ReadRecord(const std::string& name);

// Keys as "SET KID K".
using Keys = std::set<std::string>;

Keys KeysOf(const mek::Record& record);
// Of a record's fields, which must be valid.
Keys KeysOf(const base::Json& fields);
// Those in the versions and the archive of a mount's storage, all of whose entries must be whole.
Keys KeysStored(const TxStore::Content& content);
// "" or the first key of `some` that `all` lacks, without its material.
std::string FirstMissing(const Keys& some, const Keys& all);

}  // namespace testing_support

#endif  // TESTS_SUPPORT_RECORDS_H_
