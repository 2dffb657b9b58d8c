//! Which receipts are wanted.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use domicile_wire::receipt::Receipt;

use super::args::ReceiptFilter;

impl ReceiptFilter {
    /// Whether a receipt is among those wanted, but for `limit`.
    pub(super) fn wants(&self, receipt: &Receipt) -> bool {
        let is = |wanted: &Option<String>, actual: &String| wanted.as_ref().is_none_or(|wanted| wanted == actual);
        is(&self.query, &receipt.query_id)
            && is(&self.to, &receipt.to)
            && self.dataset.as_ref().is_none_or(|wanted| receipt.datasets.contains(wanted))
            && self.since.is_none_or(|since| receipt.at_unix_ms >= since.0)
    }

    /// Whether everything is wanted.
    pub(super) fn is_empty(&self) -> bool {
        let Self { query, since, to, dataset, limit } = self;
        query.is_none() && since.is_none() && to.is_none() && dataset.is_none() && limit.is_none()
    }
}

/// A point in time, milliseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(pub(crate) u64);

impl std::str::FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let day = text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        let time = day.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()));
        let ms = time.and_then(|time| u64::try_from(time.timestamp_millis()).ok());
        ms.map(Self).ok_or_else(|| "write a day such as 2026-03-01, or a time such as 2026-03-01T12:00:00Z".to_owned())
    }
}

/// A time as people read it, in UTC.
pub(super) fn time(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms).ok().and_then(DateTime::<Utc>::from_timestamp_millis);
    time.map_or_else(|| unix_ms.to_string(), |time| time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_understood() {
        let check =
            |text: &str, expect: Option<u64>| assert_eq!(text.parse::<Since>().ok(), expect.map(Since), "{text}");
        check("1970-01-02", Some(86_400_000));
        check("1970-01-01T01:00:00+01:00", Some(0));
        check("1970-01-01T00:00:01.5Z", Some(1500));
        check("1969-12-31", None);
        check("yesterday", None);
        assert_eq!(time(86_400_000), "1970-01-02T00:00:00Z");
    }
}
