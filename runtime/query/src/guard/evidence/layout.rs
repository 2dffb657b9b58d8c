//! What is kept of each entity of a group, and what becomes of it.

/// How the evidence of groups is computed. Its columns are the entity, those of the versions, and then the values'.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(in crate::guard) struct Layout {
    pub(in crate::guard) versions: Vec<VersionOf>,
    pub(in crate::guard) conditions: Vec<Condition>,
    pub(in crate::guard) sums: Vec<SumOf>,
    pub(in crate::guard) trails: Vec<TrailOf>,
    pub(in crate::guard) values: Vec<ValueOf>,
    /// Whether values come with what the largest contributor makes up.
    pub(in crate::guard) shared: bool,
    /// Whether groups of many entities are counted by places.
    pub(in crate::guard) by_places: bool,
}

/// Where the marks of rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum VersionOf {
    /// Each row's from the version in so many columns.
    Row { columns: usize },
    /// Sums of marks are a column.
    Marks,
}

impl VersionOf {
    pub(super) fn columns(self) -> usize {
        match self {
            Self::Row { columns } => columns,
            Self::Marks => 1,
        }
    }
}

/// Which rows count, by one of the values' columns: those that have something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct Condition {
    pub(in crate::guard) column: usize,
    /// Zero is nothing either.
    pub(in crate::guard) not_zero: bool,
}

/// One of the values' columns, as it is added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct SumOf {
    pub(in crate::guard) column: usize,
    pub(in crate::guard) number: Number,
}

/// Numbers that are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum Number {
    /// Exactly, with this many digits behind the point.
    Whole {
        scale: i8,
    },
    Float,
}

/// One trace of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) struct TrailOf {
    /// Whose marks.
    pub(in crate::guard) version: usize,
    /// Which rows'; all where it is none.
    pub(in crate::guard) condition: Option<usize>,
    pub(in crate::guard) weight: Option<WeightOf>,
}

/// How much an entity contributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum WeightOf {
    /// The rows that count.
    Rows,
    /// What it has of this sum, without signs.
    Sum(usize),
}

/// One value, or a column that values are computed of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::guard) enum ValueOf {
    /// How many rows there are; all where the condition is none.
    Rows {
        condition: Option<usize>,
        shared: bool,
    },
    Sum(usize),
    /// A sum without signs.
    Measure(usize),
}

impl ValueOf {
    /// Whether one contributor's share counts.
    pub(in crate::guard) fn is_shared(self, layout: &Layout) -> bool {
        layout.shared && !matches!(self, Self::Rows { shared: false, .. })
    }
}

/// Words of what is kept of an entity: its rows; of each version the marks of all rows; of each condition how many rows
/// do not meet it, and of each version their marks; and each sum as it is, in two words, and without signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Words {
    versions: usize,
    conditions: usize,
    pub(super) width: usize,
}

/// The first word.
pub(super) const ROWS: usize = 0;
const WORDS_OF_SUM: usize = 3;

impl Words {
    pub(super) fn of(layout: &Layout) -> Self {
        let (versions, conditions) = (layout.versions.len(), layout.conditions.len());
        let sums = layout.sums.len() * WORDS_OF_SUM;
        Self { versions, conditions, width: 1 + versions + conditions * (1 + versions) + sums }
    }

    pub(super) fn marks(self, version: usize) -> usize {
        1 + version
    }

    /// How many rows do not meet the condition. Their marks follow, by version.
    pub(super) fn missing(self, condition: usize) -> usize {
        1 + self.versions + condition * (1 + self.versions)
    }

    /// The sum; a float is in the first of its two words.
    pub(super) fn sum(self, sum: usize) -> usize {
        1 + self.versions + self.conditions * (1 + self.versions) + sum * WORDS_OF_SUM
    }

    /// The sum without signs.
    pub(super) fn gross(self, sum: usize) -> usize {
        self.sum(sum) + 2
    }
}

/// The sum that two words are.
pub(super) fn whole(words: &[u64], at: usize) -> i128 {
    ((u128::from(words[at + 1]) << 64) | u128::from(words[at])).cast_signed()
}

pub(super) fn add_whole(words: &mut [u64], at: usize, number: i128) {
    let sum = whole(words, at).wrapping_add(number).cast_unsigned();
    (words[at], words[at + 1]) = (sum as u64, (sum >> 64) as u64);
}

pub(super) fn add_float(words: &mut [u64], at: usize, number: f64) {
    words[at] = (f64::from_bits(words[at]) + number).to_bits();
}
