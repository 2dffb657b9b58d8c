//! Calendar dates.

/// A date: days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

impl Date {
    /// A date of the Gregorian calendar, usable in constants.
    ///
    /// # Panics
    /// Where the month is not 1 to 12, the day not 1 to 31, or the year not 1 to 9999.
    pub const fn of(year: i32, month: i32, day: i32) -> Self {
        assert!(year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31);
        // Years that begin in March put the leap day last, which makes the days before a month a linear expression.
        let year = if month <= 2 { year - 1 } else { year };
        let month_from_march = (month + 9) % 12;
        let days_before_month = (153 * month_from_march + 2) / 5;
        let days_before_year = 365 * year + year / 4 - year / 100 + year / 400;
        Self(days_before_year + days_before_month + day - 1 - 719_468)
    }

    /// Days from `earlier` to this date; negative where `earlier` is later.
    pub const fn days_since(self, earlier: Self) -> i64 {
        self.0 as i64 - earlier.0 as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(Date::of(1970, 1, 1), Date(0));
        assert_eq!(Date::of(1969, 12, 31), Date(-1));
        assert_eq!(Date::of(2000, 2, 29), Date(11_016));
        assert_eq!(Date::of(2000, 3, 1), Date(11_017));
        assert_eq!(Date::of(1998, 8, 2), Date(10_440));
    }
}
