//! Members that go: by their wish, because they were silent, or because they would not give up what
//! they had to (Kafka's `consumerGroupFenceMembers`).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::Plan;
use super::state::{Counts, Member, count, expression_of};
use crate::protocol::consumer_offsets::Record;

impl Plan<'_> {
    /// Takes members out of the group: one new epoch for all of them, or the end of the group as
    /// one of the consumer protocol.
    pub(super) fn fence_members(&mut self, ids: &BTreeSet<Arc<str>>) {
        let state = self.context.state;
        let gone: Vec<&Member> = ids.iter().filter_map(|id| state.members.get(id)).collect();
        if gone.is_empty() {
            return;
        }
        if self.downgrade_without(ids) {
            return;
        }
        for id in ids {
            self.remove_member(id);
        }
        let mut expressions = Counts::new();
        for expression in gone
            .iter()
            .filter_map(|member| expression_of(&member.value))
        {
            count(&mut expressions, expression);
        }
        for (expression, leaving) in expressions {
            if state.expression_members.get(&expression) == Some(&leaving) {
                self.drop_expression(&expression);
            }
        }
        let hash = self.metadata_hash_without(&gone);
        self.bump_epoch(hash);
    }

    /// Tombstones of a member. The order is Kafka's, whose replay insists on it.
    pub(super) fn remove_member(&mut self, id: &Arc<str>) {
        let group = self.group();
        self.records.extend([
            Record::CurrentMember {
                group: Arc::clone(&group),
                member: Arc::clone(id),
                value: None,
            },
            Record::TargetMember {
                group: Arc::clone(&group),
                member: Arc::clone(id),
                value: None,
            },
            Record::Member {
                group,
                member: Arc::clone(id),
                value: None,
            },
        ]);
    }
}
