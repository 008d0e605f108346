//! Checks of every byte of a text, many at a time.

/// How many bytes are judged in one go: what fits into a register of any machine of today.
const BLOCK: usize = 16;

/// Whether all bytes are as they should be.
///
/// Within a block it looks at every byte: without an early end the compiler makes it a few instructions. The
/// last block overlaps the one before it, so that all have a length that the compiler knows.
#[inline(always)]
pub(crate) fn all(bytes: &[u8], is_right: impl Fn(u8) -> bool) -> bool {
    let are_right =
        |block: &[u8]| block.iter().fold(0, |wrong, &byte| wrong | u8::from(!is_right(byte))) == 0;
    let Some(last) = bytes.last_chunk::<BLOCK>() else { return are_right(bytes) };
    let mut rest = bytes;
    while let Some((block, after)) = rest.split_first_chunk::<BLOCK>() {
        if !are_right(block) {
            return false;
        }
        rest = after;
    }
    are_right(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_byte_is_found_at_every_place() {
        for length in 0..70 {
            let mut bytes = vec![b'a'; length];
            assert!(all(&bytes, |byte| byte == b'a'), "{length}");
            for place in 0..length {
                bytes[place] = b'b';
                assert!(!all(&bytes, |byte| byte == b'a'), "{place} of {length}");
                bytes[place] = b'a';
            }
        }
    }
}
