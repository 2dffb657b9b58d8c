//! Calendar dates.

/// A date: days since 1970-01-01.
///
/// ```
/// use domicile_sdk::Date;
///
/// let date = Date::of(1998, 8, 2);
/// assert_eq!(date.days_since(Date::of(1998, 7, 31)), 2);
/// assert_eq!(date.year_month_day(), (1998, 8, 2));
/// ```
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

    /// Year, month (1 to 12) and day (1 to 31) in the Gregorian calendar, which is continued to all years.
    pub const fn year_month_day(self) -> (i32, u32, u32) {
        // Days since 0000-03-01, in cycles of 400 years. Years begin in March, as above.
        let days = self.0 as i64 + 719_468;
        let (cycle, day_of_cycle) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let leap_days = day_of_cycle / 1_460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
        let year_of_cycle = (day_of_cycle - leap_days) / 365;
        let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = 400 * cycle + year_of_cycle + (month <= 2) as i64;
        (year as i32, month as u32, day as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_survives_the_way_there_and_back() {
        for days in (Date::of(1, 1, 1).0..Date::of(2400, 12, 31).0).step_by(13) {
            let (year, month, day) = Date(days).year_month_day();
            assert_eq!(Date::of(year, month as i32, day as i32), Date(days));
        }
        assert_eq!(Date::of(2000, 2, 29).year_month_day(), (2000, 2, 29));
        assert_eq!(Date::of(1900, 3, 1).year_month_day(), (1900, 3, 1));
    }

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(Date::of(1970, 1, 1), Date(0));
        assert_eq!(Date::of(1969, 12, 31), Date(-1));
        assert_eq!(Date::of(2000, 2, 29), Date(11_016));
        assert_eq!(Date::of(2000, 3, 1), Date(11_017));
        assert_eq!(Date::of(1998, 8, 2), Date(10_440));
    }
}
