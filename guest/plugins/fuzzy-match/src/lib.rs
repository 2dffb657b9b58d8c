//! How alike two texts are.
//!
//! Texts are compared by Unicode scalar values, without regard to normalization or case. Both functions answer null
//! where an argument is null, and where a text has more than [`LETTERS_MAX`](functions::LETTERS_MAX) scalar values:
//! their work grows with the product of the lengths.
//!
//! `similarity(left text, right text) -> double` is the Jaro–Winkler similarity, from 0 (nothing in common) to 1
//! (equal):
//!
//! - Two empty texts are equal; one empty text has nothing in common with any other.
//! - Letters *match* where they are equal and their positions differ by at most `max(|left|, |right|) / 2 - 1` (integer
//!   division; at least 0). Going through `left` from its start, each letter matches the first letter of `right` within
//!   this window that is not taken yet.
//! - With `m` matches, of which `t` is half the number (rounded down) of places where the matched letters of `left`, in
//!   order, differ from the matched letters of `right`, in order, Jaro's similarity is 0 where `m` is 0, otherwise
//!   `j = (m / |left| + m / |right| + (m - t) / m) / 3`.
//! - Winkler's bonus for `p` equal letters at the start, at most 4, makes it `j + 0.1 p (1 - j)` where `j` is above
//!   0.7.
//!
//! `edit_distance(left text, right text) -> bigint` is the Levenshtein distance: the least number of letters that are
//! inserted, deleted or replaced to make one text of the other.

/// The functions.
#[domicile_sdk::functions]
pub mod functions {
    /// Scalar values that a text may have to be compared.
    pub const LETTERS_MAX: usize = 1024;

    /// The Jaro–Winkler similarity.
    pub fn similarity(left: &str, right: &str) -> Option<f64> {
        comparable(left, right).then(|| strsim::jaro_winkler(left, right))
    }

    /// The Levenshtein distance.
    pub fn edit_distance(left: &str, right: &str) -> Option<i64> {
        comparable(left, right).then(|| strsim::levenshtein(left, right) as i64)
    }

    fn comparable(left: &str, right: &str) -> bool {
        [left, right].iter().all(|text| text.len() <= LETTERS_MAX || text.chars().count() <= LETTERS_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::functions::*;

    fn check_similarity(left: &str, right: &str, expect: f64) {
        let found = similarity(left, right).expect("they are short");
        assert!((found - expect).abs() < 1e-9, "{left} and {right}: {found}");
    }

    #[test]
    fn similarity_has_the_values_of_the_definition() {
        check_similarity("", "", 1.0);
        check_similarity("", "a", 0.0);
        check_similarity("abc", "xyz", 0.0);
        check_similarity("DWAYNE", "DUANE", 0.84);
        // m = 6, t = 1: j = (1 + 1 + 5/6) / 3, and three equal letters at the start.
        let jaro = (2.0 + 5.0 / 6.0) / 3.0;
        check_similarity("MARTHA", "MARHTA", jaro + 0.3 * (1.0 - jaro));
        // Below 0.7 there is no bonus: m = 2 of 4 and 4, none out of place.
        check_similarity("abcd", "abxy", 2.0 / 3.0);
        check_similarity("Zürich", "Zürich", 1.0);
    }

    #[test]
    fn distance_counts_letters_not_bytes() {
        assert_eq!(edit_distance("kitten", "sitting"), Some(3));
        assert_eq!(edit_distance("Zürich", "Zurich"), Some(1));
        assert_eq!(edit_distance("", "日本"), Some(2));
        assert_eq!(edit_distance("日本", "日本"), Some(0));
    }

    /// Numbers by chance, the same in every run.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % end
        }

        /// A text of less than so many letters, of few enough kinds for them to match.
        fn text(&mut self, letters: usize) -> Vec<char> {
            (0..self.below(letters)).map(|_| ['a', 'b', 'c', 'é', '日', '🦀'][self.below(6)]).collect()
        }

        /// The text with some letters replaced, removed, doubled or moved.
        fn changed(&mut self, text: &[char]) -> Vec<char> {
            let mut text = text.to_vec();
            for _ in 0..self.below(4) {
                if text.is_empty() {
                    break;
                }
                let (place, other) = (self.below(text.len()), self.below(text.len()));
                match self.below(4) {
                    0 => text[place] = 'x',
                    1 => drop(text.remove(place)),
                    2 => text.insert(place, text[other]),
                    _ => text.swap(place, other),
                }
            }
            text
        }
    }

    #[test]
    fn another_implementation_says_the_same() {
        let mut chance = Chance(5);
        for round in 0..40_000 {
            let letters = if round % 200 == 0 { LETTERS_MAX } else { 14 };
            let left = chance.text(letters);
            let right = if round % 2 == 0 { chance.text(letters) } else { chance.changed(&left) };
            let [a, b]: [String; 2] = [&left, &right].map(|text| text.iter().collect());
            let distance = rapidfuzz::distance::levenshtein::distance(left.iter().copied(), right.iter().copied());
            assert_eq!(edit_distance(&a, &b), Some(distance as i64), "{a} and {b}");
            let expect = rapidfuzz::distance::jaro_winkler::similarity(left.iter().copied(), right.iter().copied());
            check_similarity(&a, &b, expect);
        }
    }

    #[test]
    fn long_texts_are_not_compared() {
        let long = "ü".repeat(LETTERS_MAX);
        assert_eq!(edit_distance(&long, ""), Some(LETTERS_MAX as i64));
        let longer = long + "x";
        assert_eq!((edit_distance(&longer, ""), similarity("", &longer)), (None, None));
    }
}
