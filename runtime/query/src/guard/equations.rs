//! What follows from several sums.

/// Arithmetic is modulo this prime, so that no rounding decides what can be solved.
const PRIME: u64 = (1 << 61) - 1;

/// The unknowns that equations with these coefficients determine, by Gauss-Jordan elimination: those whose row has no
/// other unknown left.
pub(super) fn solved(mut rows: Vec<Vec<u64>>, unknowns: usize) -> Vec<usize> {
    rows.sort_unstable();
    rows.dedup();
    let mut solved = 0;
    for column in 0..unknowns {
        let Some(pivot) = (solved..rows.len()).find(|row| rows[*row][column] != 0) else { continue };
        rows.swap(solved, pivot);
        let scale = inverse(rows[solved][column]);
        rows[solved].iter_mut().for_each(|value| *value = times(*value, scale));
        let own: Vec<(usize, u64)> =
            rows[solved].iter().copied().enumerate().filter(|(_, value)| *value != 0).collect();
        for (at, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if at != solved && factor != 0 {
                own.iter().for_each(|(place, own)| row[*place] = reduced(row[*place] + times(PRIME - factor, *own)));
            }
        }
        solved += 1;
    }
    let alone = |row: &Vec<u64>| {
        let mut places = row.iter().enumerate().filter(|(_, value)| **value != 0).map(|(column, _)| column);
        places.next().filter(|_| places.next().is_none())
    };
    rows.iter().filter_map(alone).collect()
}

fn reduced(sum: u64) -> u64 {
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// What is above the 61st bit of a product counts as if it were at the first, since the prime is all ones.
fn times(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    reduced((product as u64 & PRIME) + (product >> 61) as u64)
}

/// By Fermat's little theorem.
fn inverse(number: u64) -> u64 {
    let (mut power, mut result, mut exponent) = (number, 1, PRIME - 2);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, power);
        }
        power = times(power, power);
        exponent >>= 1;
    }
    result
}
