/* Words of UTF-8 bytes as hashes: the same on every core, and the same as in training. */
#ifndef HWKD_TEXT_H
#define HWKD_TEXT_H

#include <stdint.h>
#include <string.h>

/* ASCII capitals as small letters. */
static inline uint32_t hwkd_small(uint32_t byte)
{
    return byte - 'A' < 26u ? byte + ('a' - 'A') : byte;
}

/* The hash (FNV-1a) of the next word from *at on, which moves behind it; 0 at the end of a text,
   which is its first zero or its last byte. */
static inline int hwkd_next_word(const uint8_t *text, int32_t length, int32_t *at, uint32_t *hash)
{
    uint32_t found = 2166136261u;
    int is_word = 0;
    int32_t i = *at;
    for (; i < length && text[i] != 0; ++i) {
        const uint32_t byte = hwkd_small(text[i]);
        if (byte - 'a' < 26u || byte - '0' < 10u || byte >= 128u) {
            found = (found ^ byte) * 16777619u;
            is_word = 1;
        } else if (is_word) {
            break;
        }
    }
    *at = i;
    *hash = found;
    return is_word;
}

/* Letters, digits, and bytes of letters of other scripts. */
static inline int hwkd_is_of_word(uint32_t byte)
{
    return hwkd_small(byte) - 'a' < 26u || byte - '0' < 10u || byte >= 128u;
}

/* Where the next word, or other visible character by itself, ends; *at moves to where it begins.
   Both are one at the end of a text. */
static inline int32_t hwkd_next_unit(const uint8_t *text, int32_t length, int32_t *at)
{
    int32_t i = *at;
    while (i < length && text[i] != 0 && (text[i] <= ' ' || text[i] == 127))
        ++i;
    *at = i;
    if (i < length && text[i] != 0 && !hwkd_is_of_word(text[i]))
        return i + 1;
    while (i < length && text[i] != 0 && hwkd_is_of_word(text[i]))
        ++i;
    return i;
}

/* How many characters bytes of UTF-8 are. */
static inline int32_t hwkd_letters(const uint8_t *text, int32_t count)
{
    int32_t found = 0;
    for (int32_t i = 0; i < count; ++i)
        found += (text[i] & 0xc0) != 0x80;
    return found;
}

/* Spreads every bit of a number over all 32 (the end of MurmurHash3). */
static inline uint32_t hwkd_mixed(uint32_t value)
{
    value = (value ^ (value >> 16)) * 0x85ebca6bu;
    value = (value ^ (value >> 13)) * 0xc2b2ae35u;
    return value ^ (value >> 16);
}

#endif
