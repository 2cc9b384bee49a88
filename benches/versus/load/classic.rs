//! Members of classic groups: their requests, and how a group of three comes to be stable.

use bytes::Bytes;
use milena::message;
use milena::protocol::encode_request;
use milena::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena::protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, Request, StrBytes, SyncGroupRequest,
    SyncGroupResponse, leave_group_request,
};

use crate::Failure;
use crate::gate::now_ns;
use crate::wire::{Connection, PATIENCE};

pub(crate) const JOIN: i16 = 9;
pub(crate) const SYNC: i16 = 5;
pub(crate) const HEARTBEAT: i16 = 4;
pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;
pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;
const SESSION_MS: i32 = 45_000;
/// Version 1, two topics, no user data: what a Java consumer sends.
const SUBSCRIPTION: &[u8] = b"\0\x01\0\0\0\x01\0\x06versus\xff\xff\xff\xff\0\0\0\0";
/// Version 1, one topic with one partition.
const ASSIGNMENT: &[u8] = b"\0\x01\0\0\0\x01\0\x06versus\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";

/// A finished frame.
pub(crate) fn frame<R: Request>(version: i16, request: &R) -> Result<Bytes, Failure> {
    Ok(encode_request(1, version, Some("versus"), request)?)
}

/// Fails with the name of what was asked if this is an error.
pub(crate) fn expect(name: &str, code: i16) -> Result<(), Failure> {
    match code {
        0 => Ok(()),
        code => Err(format!("{name} was refused with error {code}").into()),
    }
}

/// Asks for the group's coordinator until there is one: the first asking makes the offsets topic.
pub(crate) fn find_coordinator(connection: &mut Connection, group: &str) -> Result<(), Failure> {
    let begun = now_ns();
    let request = message!(FindCoordinatorRequest {
        coordinator_keys: vec![group.into()],
    });
    loop {
        let answer: FindCoordinatorResponse = connection.ask(4, &request)?;
        let code = answer.coordinators.first().map_or(0, |one| one.error_code);
        if code == 0 {
            return Ok(());
        }
        if now_ns() - begun > u64::try_from(PATIENCE.as_nanos())? {
            return expect("FindCoordinator", code);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// One member, as it knows itself.
#[derive(Clone, Default)]
pub(crate) struct Member {
    pub(crate) group: StrBytes,
    pub(crate) id: StrBytes,
    pub(crate) generation: i32,
    /// Everybody's ids, when it is the leader.
    led: Vec<StrBytes>,
}

impl Member {
    pub(crate) fn of(group: &str) -> Member {
        Member {
            group: group.into(),
            ..Member::default()
        }
    }

    pub(crate) fn join(&self) -> JoinGroupRequest {
        message!(JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: SESSION_MS,
            member_id: self.id.clone(),
            protocol_type: "consumer".into(),
            protocols: vec![message!(JoinGroupRequestProtocol {
                name: "range".into(),
                metadata: Bytes::from_static(SUBSCRIPTION),
            })],
        })
    }

    /// Takes the id it was given.
    pub(crate) fn named(&mut self, answer: &JoinGroupResponse) -> Result<(), Failure> {
        if answer.error_code != MEMBER_ID_REQUIRED {
            expect("the first JoinGroup", answer.error_code)?;
        }
        self.id = answer.member_id.clone();
        Ok(())
    }

    pub(crate) fn joined(&mut self, answer: &JoinGroupResponse) -> Result<(), Failure> {
        expect("JoinGroup", answer.error_code)?;
        self.generation = answer.generation_id;
        self.led = match answer.leader == self.id {
            true => answer
                .members
                .iter()
                .map(|one| one.member_id.clone())
                .collect(),
            false => Vec::new(),
        };
        Ok(())
    }

    pub(crate) fn leads(&self) -> bool {
        !self.led.is_empty()
    }

    pub(crate) fn sync(&self) -> SyncGroupRequest {
        let assignments = self.led.iter().map(|id| {
            message!(SyncGroupRequestAssignment {
                member_id: id.clone(),
                assignment: Bytes::from_static(ASSIGNMENT),
            })
        });
        message!(SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: assignments.collect(),
        })
    }

    pub(crate) fn heartbeat(&self) -> HeartbeatRequest {
        message!(HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
        })
    }

    /// Joins an empty group on a connection that blocks, and is stable then.
    pub(crate) fn settle(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        self.named(&connection.ask(JOIN, &self.join())?)?;
        self.joined(&connection.ask(JOIN, &self.join())?)?;
        let answer: SyncGroupResponse = connection.ask(SYNC, &self.sync())?;
        expect("SyncGroup", answer.error_code)
    }

    pub(crate) fn leave(&self, connection: &mut Connection) -> Result<(), Failure> {
        let request = message!(LeaveGroupRequest {
            group_id: self.group.clone(),
            members: vec![message!(leave_group_request::MemberIdentity {
                member_id: self.id.clone(),
            })],
        });
        let answer: LeaveGroupResponse = connection.ask(5, &request)?;
        expect("LeaveGroup", answer.error_code)
    }
}
