//! Contents as they lie in a plugin's memory.

use super::contents::{Contents, Runs, Values};

/// Where the image lies in the component's memory.
const BASE: usize = 65_536;
/// The parameters of `columns.write`.
const WORDS: usize = 10;

struct Image {
    bytes: Vec<u8>,
    size: usize,
}

impl Image {
    /// Puts a list down and says where it is and how long.
    fn list<const N: usize>(&mut self, elements: impl ExactSizeIterator<Item = [u8; N]>) -> [u32; 2] {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let (at, length) = (BASE + self.bytes.len(), elements.len());
        if length * N <= self.size {
            self.bytes.extend(elements.flatten());
        } else {
            self.bytes.resize(self.size + 1, 0);
        }
        [at, length].map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn runs(&mut self, runs: &Runs) -> [u32; 4] {
        let [offsets, count] = self.list(runs.offsets.iter().map(|offset| offset.to_le_bytes()));
        let [bytes, length] = self.list(runs.bytes.iter().map(|byte| [*byte]));
        [offsets, count, bytes, length]
    }
}

/// The memory, of `size` bytes; none where the contents do not fit.
pub(super) fn of(contents: &Contents, size: usize) -> Option<Vec<u8>> {
    let mut image = Image { bytes: vec![0; WORDS * 4], size };
    let mut words = [0; WORDS];
    let list = match &contents.values {
        Values::BigInt(values) => image.list(values.iter().map(|value| value.to_le_bytes())).to_vec(),
        Values::Double(values) => image.list(values.iter().map(|value| value.to_le_bytes())).to_vec(),
        Values::Text(runs) | Values::Bytes(runs) => image.runs(runs).to_vec(),
        Values::Date(values) => image.list(values.iter().map(|value| value.to_le_bytes())).to_vec(),
        Values::Boolean(values) => image.list(values.iter().map(|value| [*value])).to_vec(),
        Values::Dictionary(indices, texts) => {
            let indices = image.list(indices.iter().map(|index| u32::from(*index).to_le_bytes()));
            [indices.as_slice(), &image.runs(texts)].concat()
        }
    };
    words[0] = contents.case();
    words[1..=list.len()].copy_from_slice(&list);
    if let Some(validity) = &contents.validity {
        let [at, length] = image.list(validity.iter().map(|byte| [*byte]));
        words[7..].copy_from_slice(&[1, at, length]);
    }
    for (place, word) in image.bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    if image.bytes.len() > size {
        return None;
    }
    image.bytes.resize(size, 0);
    Some(image.bytes)
}
