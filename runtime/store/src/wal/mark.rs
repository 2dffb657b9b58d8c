//! What a record says of the log entry that it is, as JSON: the set, the log and number, the moment, what it follows,
//! and how it changes the members.

use domicile_types::{Change, Dot, Hlc, Life, Mark, Members, Numbers, Origin, Vector, entry_number};
use serde::{Deserialize, Serialize};

use crate::StoreError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    set: String,
    region: String,
    epoch: u32,
    seq: u64,
    hlc: u64,
    follows: Numbers,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    change: Option<ChangeText>,
}

/// A change of the members: the region and epoch of the life, and the number where it ends.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ChangeText {
    Join(String, u32),
    Freeze(String, u32),
    Fence(String, u32, u64),
}

/// What is said of one life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LifeText {
    region: String,
    epoch: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    joined: Option<Numbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    frozen: Option<Numbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fenced: Option<u64>,
}

pub(crate) fn encode(mark: &Mark) -> Result<Vec<u8>, StoreError> {
    let Mark { set, dot, hlc, follows, change } = mark;
    let text = Text {
        set: set.to_string(),
        region: dot.origin.region.to_string(),
        epoch: dot.origin.epoch,
        seq: dot.seq,
        hlc: hlc.0,
        follows: follows.numbers(),
        change: change.as_ref().map(ChangeText::of),
    };
    serde_json::to_vec(&text).map_err(StoreError::encoding)
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Mark> {
    let Text { set, region, epoch, seq, hlc, follows, change } = serde_json::from_slice(bytes).ok()?;
    let dot = Dot { origin: Origin { region: region.parse().ok()?, epoch }, seq: entry_number(seq)? };
    let change = match change {
        Some(change) => Some(change.change()?),
        None => None,
    };
    Some(Mark { set: set.parse().ok()?, dot, hlc: Hlc(hlc), follows: Vector::of_numbers(&follows)?, change })
}

impl ChangeText {
    fn of(change: &Change) -> Self {
        match change {
            Change::Join { life } => Self::Join(life.region.to_string(), life.epoch),
            Change::Freeze { life } => Self::Freeze(life.region.to_string(), life.epoch),
            Change::Fence { life, seq } => Self::Fence(life.region.to_string(), life.epoch, *seq),
        }
    }

    fn change(self) -> Option<Change> {
        let life = |region: String, epoch| Some(Origin { region: region.parse().ok()?, epoch });
        Some(match self {
            Self::Join(region, epoch) => Change::Join { life: life(region, epoch)? },
            Self::Freeze(region, epoch) => Change::Freeze { life: life(region, epoch)? },
            Self::Fence(region, epoch, seq) => Change::Fence { life: life(region, epoch)?, seq: entry_number(seq)? },
        })
    }
}

/// What is said of the members, for the manifest.
pub(crate) fn lives(members: &Members) -> Vec<LifeText> {
    let text = |(origin, life): (&Origin, &Life)| LifeText {
        region: origin.region.to_string(),
        epoch: origin.epoch,
        joined: life.joined.as_ref().map(Vector::numbers),
        frozen: life.frozen.as_ref().map(Vector::numbers),
        fenced: life.fenced,
    };
    members.iter().map(text).collect()
}

/// The members of these texts; none where a region has no name that one can have.
pub(crate) fn members(lives: &[LifeText]) -> Option<Members> {
    let read = |numbers: &Option<Numbers>| match numbers {
        None => Some(None),
        Some(numbers) => Vector::of_numbers(numbers).map(Some),
    };
    let life = |text: &LifeText| {
        let life = Life { joined: read(&text.joined)?, frozen: read(&text.frozen)?, fenced: text.fenced };
        Some((Origin { region: text.region.parse().ok()?, epoch: text.epoch }, life))
    };
    Some(Members::of(lives.iter().map(life).collect::<Option<Vec<_>>>()?))
}
