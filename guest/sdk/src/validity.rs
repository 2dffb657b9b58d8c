//! Which rows of a column have a value.

/// One bit a row, set where the row has a value. A column without nulls has none of this at all.
///
/// ```
/// use domicile_sdk::Validity;
///
/// let validity = Validity::of(&[true, false, true]);
/// assert!(validity.get(0) && !validity.get(1));
/// assert_eq!(validity.nulls(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    bits: Vec<u8>,
    rows: usize,
}

impl Validity {
    /// From one truth value a row.
    pub fn of(valid: &[bool]) -> Self {
        let mut bits = vec![0_u8; valid.len().div_ceil(8)];
        for (row, valid) in valid.iter().enumerate() {
            bits[row / 8] |= u8::from(*valid) << (row % 8);
        }
        Self { bits, rows: valid.len() }
    }

    /// Every one of `rows` rows has a value.
    pub fn full(rows: usize) -> Self {
        let mut bits = vec![u8::MAX; rows.div_ceil(8)];
        if let (Some(last), 1..) = (bits.last_mut(), rows % 8) {
            *last = (1 << (rows % 8)) - 1;
        }
        Self { bits, rows }
    }

    /// From bits, row `i` being bit `i mod 8`, counted from the least significant one, of byte `i / 8`. None where
    /// every row has a value, so that the fast path is taken.
    ///
    /// # Panics
    /// Where there are fewer bits than rows.
    pub fn from_bits(bits: Vec<u8>, rows: usize) -> Option<Self> {
        let validity = Self { bits, rows };
        (validity.nulls() > 0).then_some(validity)
    }

    /// The bits, as in [`Self::from_bits`].
    pub fn into_bits(self) -> Vec<u8> {
        self.bits
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a row has a value.
    ///
    /// # Panics
    /// Where there is no such row.
    #[inline]
    pub fn get(&self, row: usize) -> bool {
        self.bits[row / 8] >> (row % 8) & 1 == 1
    }

    /// How many rows have no value.
    pub fn nulls(&self) -> usize {
        let whole: usize = self.bits[..self.rows / 8].iter().map(|byte| byte.count_zeros() as usize).sum();
        whole + (self.rows / 8 * 8..self.rows).filter(|row| !self.get(*row)).count()
    }

    /// The rows that have a value here and there.
    ///
    /// # Panics
    /// Where the other has another number of rows.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        assert_eq!(self.rows, other.rows, "columns of one call have equally many rows");
        let bits = self.bits.iter().zip(&other.bits).map(|(left, right)| left & right).collect();
        Self { bits, rows: self.rows }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, valid: bool) {
        let row = self.rows;
        self.rows += 1;
        if row.is_multiple_of(8) {
            self.bits.push(0);
        }
        let mask = 1 << (row % 8);
        self.bits[row / 8] = self.bits[row / 8] & !mask | if valid { mask } else { 0 };
    }
}

/// The rows that have a value in all of these.
pub(crate) fn all_of<'a>(validities: impl IntoIterator<Item = Option<&'a Validity>>) -> Option<Validity> {
    validities.into_iter().flatten().fold(None, |all, next| Some(all.map_or_else(|| next.clone(), |all| all.and(next))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_beyond_the_last_row_do_not_count() {
        assert_eq!(Validity::from_bits(vec![0xff, 0x01], 9), None);
        assert_eq!(Validity::from_bits(vec![0xff, 0xfe], 9).map(|validity| validity.nulls()), Some(1));
        assert_eq!(Validity::from_bits(Vec::new(), 0), None);
    }

    #[test]
    fn pushing_says_what_of_says() {
        let valid: Vec<bool> = (0..21).map(|row| row % 3 != 1).collect();
        for kept in 0..valid.len() {
            let mut pushed = Validity::full(kept);
            valid[kept..].iter().for_each(|valid| pushed.push(*valid));
            let expect: Vec<bool> = (0..valid.len()).map(|row| row < kept || valid[row]).collect();
            assert_eq!(pushed, Validity::of(&expect));
        }
    }
}
