/* SPDX-License-Identifier: MIT */
/*
 * Keys and values between the command line and what is stored.
 *
 * A typed value is stored as a tag byte and then bytes (0x00) or JSON text (0x01). Values
 * written by other programs may have no tag; one that happens to begin with such a byte is taken
 * as typed.
 */
#ifndef LXDB_TOOLS_VALUE_H
#define LXDB_TOOLS_VALUE_H

#include "buffer.h"
#include "cli.h"

#define VALUE_TAG_BYTES 0x00
#define VALUE_TAG_JSON 0x01

/* The key that an argument names: its bytes, or what its base64 stands for with --key-b64. Both
 * return an exit code, after a message. */
int value_key(const struct cli *cli, const char *arg, struct buffer *ret_key);
/*
 * The bytes to store for a VALUE argument, "-" being all of stdin. With --raw they are the bytes
 * themselves. Else JSON becomes typed JSON, without the white space around it, and anything
 * else, or anything with --str, a JSON string.
 */
int value_stored(const struct cli *cli, const char *arg, struct buffer *ret_stored);
/* The same for typed JSON whose text is known. */
void value_tag_json(struct buffer *stored, const char *text, size_t len);

/* Print a stored value: the text or the bytes without their tag, or everything with --raw. */
void value_print(const struct cli *cli, const void *value, size_t value_len);
bool value_is_json(const void *value, size_t value_len);

#endif
