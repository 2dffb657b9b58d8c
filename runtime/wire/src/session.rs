//! Sessions: what a client has written or read of replication sets, so that another region can wait until it has it, too.
//!
//! A session is opaque to clients: base64url of a version, then for each set its name and what of it the client knows of,
//! as the region, epoch and number of each log. Numbers have 7 bits a byte, the lowest first; names their length before.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domicile_types::{Origin, SetName, Vector, entry_number, limits};

/// The header that has a session, in requests and responses.
pub const SESSION: &str = "session";

const VERSION: u8 = 1;

/// What of each replication set a client knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session(BTreeMap<SetName, Vector>);

impl Session {
    /// The session of a header's text; none where it is none, or too long.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > limits::SESSION_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut rest = Rest(bytes.strip_prefix(&[VERSION])?);
        let mut sets = BTreeMap::new();
        for _ in 0..rest.number()? {
            let set = rest.name()?.parse().ok()?;
            let mut vector = Vector::new();
            for _ in 0..rest.number()? {
                let (region, epoch, seq) = (rest.name()?.parse().ok()?, rest.number()?, entry_number(rest.number()?)?);
                vector.advance(&Origin { region, epoch: u32::try_from(epoch).ok()? }, seq);
            }
            sets.insert(set, vector);
        }
        rest.0.is_empty().then_some(Self(sets))
    }

    /// The session as a header's text; none where it is empty or too long.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut bytes = vec![VERSION];
        number(&mut bytes, self.0.len() as u64);
        for (set, vector) in &self.0 {
            name(&mut bytes, set.as_str());
            number(&mut bytes, vector.iter().count() as u64);
            for (origin, seq) in vector.iter() {
                name(&mut bytes, origin.region.as_str());
                number(&mut bytes, origin.epoch.into());
                number(&mut bytes, seq);
            }
        }
        Some(URL_SAFE_NO_PAD.encode(bytes)).filter(|text| text.len() <= limits::SESSION_BYTES_MAX)
    }

    /// Knows of this, too.
    pub fn join(&mut self, set: &SetName, vector: &Vector) {
        if !vector.is_empty() {
            self.0.entry(set.clone()).or_default().join(vector);
        }
    }

    /// The sets of which something is known, and what.
    pub fn sets(&self) -> impl Iterator<Item = (&SetName, &Vector)> {
        self.0.iter()
    }
}

fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn name(bytes: &mut Vec<u8>, name: &str) {
    number(bytes, name.len() as u64);
    bytes.extend_from_slice(name.as_bytes());
}

/// What is still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(name).ok()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn session(logs: &[(&str, &str, u32, u64)]) -> Session {
        let mut session = Session::default();
        for (set, region, epoch, seq) in logs {
            let origin = Origin { region: region.parse().unwrap(), epoch: *epoch };
            session.join(&set.parse().unwrap(), &Vector::from_iter([(origin, *seq)]));
        }
        session
    }

    #[test]
    fn sessions_travel() {
        let known = session(&[
            ("catalog", "eu-central", 0, 300),
            ("catalog", "us-east", 7, 127),
            ("rates", "ap-south", u32::MAX, limits::ENTRY_NUMBER_MAX),
        ]);
        let text = known.text().unwrap();
        assert!(text.len() < 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(Session::parse(&text), Some(known));
        assert_eq!(Session::default().text(), None);
    }

    #[test]
    fn what_is_no_session_is_told() {
        let text = session(&[("catalog", "eu-central", 0, 300), ("rates", "us-east", 1, 2)]).text().unwrap();
        for length in 0..text.len() {
            assert_eq!(Session::parse(&text[..length]), None, "{length} characters");
        }
        let of = |bytes: &[u8]| Session::parse(&URL_SAFE_NO_PAD.encode(bytes));
        assert_eq!(of(&[1, 0]), Some(Session::default()));
        for wrong in
            [&[2, 0][..], &[1, 0, 0], &[1, 1, 0, 0], &[1, 0xff], &[1, 1, 1, b'/', 0], &[1, 1, 0xff, 0xff, 0xff]]
        {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        let beyond = session(&[("rates", "us-east", 1, u64::MAX)]).text().unwrap();
        assert_eq!(Session::parse(&beyond), None, "no entry can have such a number");
        let endless = [&[1][..], &[0xff; 12]].concat();
        assert_eq!(of(&endless), None);
        assert_eq!(Session::parse(&format!("{text}{}", "A".repeat(limits::SESSION_BYTES_MAX))), None);
        assert_eq!(Session::parse("not one!"), None);
    }

    #[test]
    fn sessions_that_get_too_long_are_left_out() {
        let mut known = Session::default();
        for set in 0..400 {
            known.join(
                &format!("set_{set}").parse().unwrap(),
                &Vector::from_iter([(Origin { region: "eu-central".parse().unwrap(), epoch: 0 }, 1)]),
            );
        }
        assert_eq!(known.text(), None);
    }
}
