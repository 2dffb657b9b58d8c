//! States as bytes.

use crate::functions::ApproxQuantile;
use crate::sketch::{BUCKETS_MAX, Side, Sketch};

const VERSION: u8 = 1;

pub(crate) fn write(state: &ApproxQuantile) -> Vec<u8> {
    let Sketch { negative_infinities, negative, zeros, positive, positive_infinities } = &state.sketch;
    let mut bytes = vec![VERSION];
    bytes.extend(state.quantile.unwrap_or(f64::NAN).to_le_bytes());
    [negative_infinities, zeros, positive_infinities].into_iter().for_each(|count| write_number(&mut bytes, *count));
    for side in [negative, positive] {
        write_number(&mut bytes, side.buckets.len() as u64);
        let mut before = 0;
        for (bucket, count) in &side.buckets {
            let distance = i64::from(*bucket) - before;
            write_number(&mut bytes, (distance << 1 ^ distance >> 63) as u64);
            write_number(&mut bytes, *count);
            before = i64::from(*bucket);
        }
    }
    bytes
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The state; none where the bytes are not exactly one.
pub(crate) fn read(bytes: &[u8]) -> Option<ApproxQuantile> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let (quantile, after) = rest.split_first_chunk::<8>()?;
    rest = after;
    let quantile = Some(f64::from_le_bytes(*quantile)).filter(|quantile| !quantile.is_nan());
    let (negative_infinities, zeros) = (read_number(&mut rest)?, read_number(&mut rest)?);
    let positive_infinities = read_number(&mut rest)?;
    let (negative, positive) = (read_side(&mut rest)?, read_side(&mut rest)?);
    let sketch = Sketch { negative_infinities, negative, zeros, positive, positive_infinities };
    rest.is_empty().then_some(ApproxQuantile { quantile, sketch })
}

fn read_side(bytes: &mut &[u8]) -> Option<Side> {
    let buckets = read_number(bytes)?;
    let mut side = Side::default();
    let mut before = 0_i64;
    for index in 0..buckets {
        let encoded = read_number(bytes)?;
        let distance = (encoded >> 1) as i64 ^ -((encoded & 1) as i64);
        let bucket = before.checked_add(distance)?;
        let count = read_number(bytes).filter(|count| *count > 0)?;
        if index > 0 && distance <= 0 {
            return None;
        }
        side.buckets.insert(i32::try_from(bucket).ok()?, count);
        before = bucket;
    }
    let first = side.buckets.first_key_value().map_or(0, |(bucket, _)| i64::from(*bucket));
    (buckets == 0 || before - first < i64::from(BUCKETS_MAX)).then_some(side)
}

/// A number of at most 64 bits in at most ten bytes.
fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> ApproxQuantile {
        let mut state = ApproxQuantile::default();
        for value in [1.0, 1.0, 1e9, -3.0, -1e-9, 0.0, f64::INFINITY, 1e300] {
            state.update(value, 0.25).expect("`q` is the same");
        }
        state
    }

    #[test]
    fn a_state_survives_the_way_there_and_back() {
        for state in [state(), ApproxQuantile::default()] {
            assert_eq!(read(&write(&state)), Some(state));
        }
    }

    #[test]
    fn the_bytes_are_those_documented() {
        let mut state = ApproxQuantile::default();
        state.update(1.0, 0.5).expect("`q` is fine");
        // ln 1 is 0, so the value lies in the bucket 0.
        assert_eq!(write(&state), [&[1], &0.5_f64.to_le_bytes()[..], &[0, 0, 0, 0, 1, 0, 1]].concat());
    }

    #[test]
    fn other_bytes_are_refused() {
        let bytes = write(&state());
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), None, "the first {length} bytes");
        }
        assert_eq!(read(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(read(&[&[2], &bytes[1..]].concat()), None);
    }

    #[test]
    fn a_quantile_is_one_number_from_0_to_1() {
        let mut state = state();
        assert!(
            state.update(1.0, 0.5).is_err() && state.update(1.0, 1.5).is_err() && state.update(1.0, f64::NAN).is_err()
        );
        let mut other = ApproxQuantile::default();
        other.update(1.0, 0.75).expect("`q` is fine");
        assert!(state.merge(&other).is_err());
        assert_eq!(state.merge(&ApproxQuantile::default()), Ok(()));
    }
}
