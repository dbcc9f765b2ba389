#!/bin/sh
# SPDX-License-Identifier: MIT
# A session with the tool. The lines that begin with #> are what it prints.
lxdb memory.lxdb set user '{"name": "Ada", "id": 12345678901234567890}'
lxdb memory.lxdb get user
#> {"name": "Ada", "id": 12345678901234567890}
lxdb memory.lxdb -n turns set 0001 'Hello, what can you do?'
lxdb memory.lxdb incr visits
#> 1
lxdb memory.lxdb cas visits 1 2 && lxdb memory.lxdb cas visits 1 3 || echo "exit code $?"
#> lxdb: conflict: another value is stored under the key "visits"
#> exit code 1
lxdb memory.lxdb namespaces
lxdb memory.lxdb export
#> turns	1
#> {"key":"user","value":{"name": "Ada", "id": 12345678901234567890}}
#> {"key":"turns\u00000001","value":"Hello, what can you do?"}
#> {"key":"visits","value":2}
lxdb memory.lxdb export | lxdb copy.lxdb import
#> imported             3
lxdb memory.lxdb del user && lxdb memory.lxdb count
#> 2
lxdb memory.lxdb exists user || echo "no such user"
#> no such user
