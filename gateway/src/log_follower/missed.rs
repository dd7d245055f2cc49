//! The messages that a client missed which comes back. Pure.

use jackfield_cluster::log::{Page, Position};

/// The numbers of the messages that a client missed which handled everything up to `after`, when it is to continue live
/// from `at`: those of the page's messages after the first number, up to the second. `None` if the page does not
/// have all of them.
pub(crate) fn missed<B>(after: Position, at: Position, page: &Page<B>) -> Option<(u64, u64)> {
    let from = page.number_of(after).filter(|from| *from <= at.number)?;
    if from == at.number {
        return Some((from, from));
    }
    let last = page.messages.last().map_or(from, |message| message.position.number);
    (page.number_of(at).is_some() && page.continues(from) && last >= at.number).then_some((from, at.number))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jackfield_cluster::log::Stored;
    use proptest::prelude::*;

    use super::*;

    const EMPTY: Position = Position { epoch: 1, number: 0 };

    fn at(number: u64) -> Position {
        Position { epoch: 7, number }
    }

    proptest! {
        /// Against the numbers themselves: whatever is kept, a client gets all that it missed, or it is not recovered.
        #[test]
        fn nothing_is_left_out(after in 0_u64..30, at_number in 0_u64..30, first in 1_u64..30, count in 0_u64..30, ahead in 0_u64..5) {
            let end = at_number + ahead;
            let read = first.max(after + 1)..=(first + count).min(end);
            let messages: Vec<_> = read.map(|number| Stored { position: at(number), body: () }).collect();
            let page = Page { end: at(end), base: 0, earlier: vec![], messages, empty: EMPTY, kept_for: Duration::ZERO };
            let wanted: Vec<u64> = (after + 1..=at_number).collect();
            match missed(at(after), at(at_number), &page) {
                Some((from, to)) => {
                    let got = page.messages.iter().map(|stored| stored.position.number).filter(|number| *number > from && *number <= to);
                    prop_assert_eq!(got.collect::<Vec<_>>(), wanted);
                }
                None => prop_assert!(
                    after > at_number || !wanted.iter().all(|number| page.messages.iter().any(|stored| stored.position.number == *number))
                ),
            }
            let other = Position { epoch: 6, number: after };
            prop_assert!(missed(other, at(at_number), &page).is_none());
        }
    }

    #[test]
    fn a_client_of_the_empty_log_gets_all_of_its_first_epoch() {
        let messages = vec![Stored { position: at(1), body: () }];
        let page = Page { end: at(1), base: 0, earlier: vec![], messages, empty: EMPTY, kept_for: Duration::ZERO };
        assert_eq!(missed(EMPTY, at(1), &page), Some((0, 1)));
        assert_eq!(missed(EMPTY, at(1), &Page { base: 1, ..page.clone() }), None);
        assert_eq!(missed(Position { epoch: 2, ..EMPTY }, at(1), &page), None);
        let empty = Page { end: EMPTY, messages: vec![], ..page };
        assert_eq!(missed(EMPTY, EMPTY, &empty), Some((0, 0)));
    }
}
