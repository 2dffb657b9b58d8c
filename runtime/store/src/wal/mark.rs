//! What a record says of the log entry that it is, as JSON: the set, the log and number, the moment, what it follows.

use domicile_types::{Dot, Hlc, Mark, Origin, Vector};
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// A vector: region, epoch and number of each log.
pub(crate) type Numbers = Vec<(String, u32, u64)>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    set: String,
    region: String,
    epoch: u32,
    seq: u64,
    hlc: u64,
    follows: Numbers,
}

pub(crate) fn encode(mark: &Mark) -> Result<Vec<u8>, StoreError> {
    let Mark { set, dot, hlc, follows } = mark;
    let text = Text {
        set: set.to_string(),
        region: dot.origin.region.to_string(),
        epoch: dot.origin.epoch,
        seq: dot.seq,
        hlc: hlc.0,
        follows: numbers(follows),
    };
    serde_json::to_vec(&text).map_err(StoreError::encoding)
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
    let Text { set, region, epoch, seq, hlc, follows } = serde_json::from_slice(bytes).ok()?;
    let dot = Dot { origin: Origin { region: region.parse().ok()?, epoch }, seq };
    Some(Mark { set: set.parse().ok()?, dot, hlc: Hlc(hlc), follows: vector(&follows)? })
}

pub(crate) fn numbers(vector: &Vector) -> Numbers {
    vector.iter().map(|(origin, seq)| (origin.region.to_string(), origin.epoch, seq)).collect()
}

/// The vector of these numbers; none where a region has no name that one can have.
pub(crate) fn vector(numbers: &Numbers) -> Option<Vector> {
    let log = |(region, epoch, seq): &(String, u32, u64)| {
        Some((Origin { region: region.parse().ok()?, epoch: *epoch }, *seq))
    };
    numbers.iter().map(log).collect()
}
