//! CRC-32C (Castagnoli), as in RFC 3720, appendix B.4.

/// The polynomial, with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The remainder of each byte.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let mut remainder = byte;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (carry * POLYNOMIAL);
            bit += 1;
        }
        table[byte as usize] = remainder;
        byte += 1;
    }
    table
};

/// Returns the checksum of these pieces, one after another.
pub(super) fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in pieces.iter().copied().flatten() {
        let [low, ..] = (remainder ^ u32::from(*byte)).to_le_bytes();
        remainder = TABLE[usize::from(low)] ^ (remainder >> 8);
    }
    !remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From RFC 3720, appendix B.4, and the check value of the catalogue of CRC algorithms.
    #[test]
    fn known_values_match() {
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
        assert_eq!(crc32c(&[&[0xff; 32]]), 0x62a8_ab43);
        assert_eq!(crc32c(&[]), 0);
    }
}
