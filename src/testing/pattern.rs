//! `pattern`: bytes to send in tests.

use std::iter;

/// Returns bytes that reveal their order: no two neighbouring runs are alike. The same length gives
/// the same bytes.
///
/// # Examples
///
/// ```
/// use halves::testing::pattern;
///
/// assert_eq!(pattern(3), pattern(1000)[..3]);
/// ```
#[must_use]
pub fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_u32;
    iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}
