//! Calendar days, as policies write them.

use std::fmt;
use std::str::FromStr;

/// A day of the Gregorian calendar, as days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// The text is not a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a day; write it as 2030-12-31")]
pub struct DateError {
    /// The refused text.
    pub text: String,
}

const DAYS_IN_400_YEARS: i64 = 146_097;
const DAYS_FROM_0000_03_01_TO_1970: i64 = 719_468;

impl FromStr for Date {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let refuse = || DateError { text: text.to_owned() };
        let digits_and_dashes =
            text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
        if text.len() != 10 || !digits_and_dashes {
            return Err(refuse());
        }
        let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().map_err(|_| refuse());
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let date = Self(days_since_1970(year, month, day).ok_or_else(refuse)?);
        // The arithmetic carries 02-30 over into March; such a day comes back under another name.
        if date.to_string() == text { Ok(date) } else { Err(refuse()) }
    }
}

/// Years start in March here, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> Option<i32> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    i32::try_from(year.div_euclid(400) * DAYS_IN_400_YEARS + day_of_era - DAYS_FROM_0000_03_01_TO_1970).ok()
}

impl Date {
    /// The day, in UTC, of a moment in milliseconds since 1970-01-01.
    pub fn of_unix_ms(unix_ms: u64) -> Self {
        const DAY_MS: u64 = 86_400_000;
        Self(i32::try_from(unix_ms / DAY_MS).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0) + DAYS_FROM_0000_03_01_TO_1970;
        let day_of_era = days.rem_euclid(DAYS_IN_400_YEARS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let year = year_of_era + days.div_euclid(DAYS_IN_400_YEARS) * 400;
        let (year, month) = if month < 10 { (year, month + 3) } else { (year + 1, month - 9) };
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<i32>) {
        let got = text.parse::<Date>().ok();
        assert_eq!(got, expect.map(Date));
        if let Some(date) = got {
            assert_eq!(date.to_string(), text);
        }
    }

    #[test]
    fn days_of_the_calendar_and_no_others() {
        check("1970-01-01", Some(0));
        check("1969-12-31", Some(-1));
        check("2000-02-29", Some(11_016));
        check("2030-12-31", Some(22_279));
        check("0000-03-01", Some(-719_468));
        check("0000-01-01", Some(-719_528));
        check("9999-12-31", Some(2_932_896));
        for text in [
            "2001-02-29",
            "1900-02-29",
            "2030-04-31",
            "2030-13-01",
            "2030-00-10",
            "2030-1-1",
            "2030/01/01",
            "",
            "２030-1-1",
        ] {
            check(text, None);
        }
    }
}
