//! Medians, and ratios of figures taken in the same round.

/// Returns the middle value, or the mean of the middle two. None if there are no values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[half]),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// Returns the median of `values / reference`, round by round.
///
/// A disturbance of a whole round affects both and cancels out.
pub fn paired_ratio(values: &[f64], reference: &[f64]) -> Option<f64> {
    let pairs = values.iter().zip(reference);
    let ratios: Vec<f64> = pairs.map(|(value, reference)| value / reference).collect();
    median(&ratios).filter(|ratio| ratio.is_finite())
}

/// Returns the range of the values as a share of the median.
pub fn spread(values: &[f64]) -> Option<f64> {
    let largest = values.iter().copied().reduce(f64::max)?;
    let smallest = values.iter().copied().reduce(f64::min)?;
    Some((largest - smallest) / median(values)?).filter(|spread| spread.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_disturbed_round_does_not_move_the_ratio() {
        let ratio = paired_ratio(&[1.0, 50.0, 1.0], &[2.0, 100.0, 2.0]);
        assert_eq!(ratio, Some(0.5));
    }

    #[test]
    fn there_is_no_ratio_to_a_missing_figure_or_zero() {
        assert_eq!(paired_ratio(&[1.0], &[]), None);
        assert_eq!(paired_ratio(&[1.0], &[0.0]), None);
    }

    #[test]
    fn the_spread_is_a_share_of_the_median() {
        assert_eq!(spread(&[9.0, 10.0, 11.0]), Some(0.2));
        assert_eq!(spread(&[]), None);
    }
}
