//! DescribeCluster: the cluster's id, a controller to talk to and the brokers (KIP-700).

use super::cluster_view::ClusterView;
use super::gateway::Gateway;
use super::peer::{OPERATIONS_NOT_ASKED, Peer, Resource, authorized_operations};
use crate::message;
use crate::metadata::{BrokerImage, Endpoint};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::messages::describe_cluster_response::DescribeClusterBroker;
use crate::protocol::messages::{DescribeClusterRequest, DescribeClusterResponse, StrBytes};

/// "Tell me the brokers", as opposed to the controllers (KIP-919).
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeClusterRequest,
    _version: i16,
    peer: &Peer,
) -> DescribeClusterResponse {
    match request.endpoint_type {
        BROKERS => {}
        CONTROLLERS => {
            return refuse(
                ErrorCode::MismatchedEndpointType,
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER".into(),
            );
        }
        other => {
            return refuse(
                ErrorCode::UnsupportedEndpointType,
                format!("Unsupported endpoint type {other}"),
            );
        }
    }
    let image = gateway.image.load();
    let view = ClusterView::new(&image, &peer.connection.listener);
    let mut brokers: Vec<DescribeClusterBroker> = view.brokers().map(describe).collect();
    if request.include_fenced_brokers {
        brokers.extend(view.fenced_brokers().map(describe));
        brokers.sort_by_key(|broker| broker.broker_id);
    }
    message!(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: gateway.facts.cluster_id.as_str().into(),
        controller_id: view.controller(gateway.facts.broker_id),
        brokers: brokers,
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            authorized_operations(peer, Resource::Cluster)
        } else {
            OPERATIONS_NOT_ASKED
        },
    })
}

fn describe(
    (broker, endpoint): (&std::sync::Arc<BrokerImage>, &Endpoint),
) -> DescribeClusterBroker {
    message!(DescribeClusterBroker {
        broker_id: broker.id.0,
        host: endpoint.host.as_str().into(),
        port: i32::from(endpoint.port),
        rack: broker.rack.as_deref().map(StrBytes::from),
        is_fenced: broker.fenced,
    })
}

fn refuse(code: ErrorCode, message: String) -> DescribeClusterResponse {
    message!(DescribeClusterResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        controller_id: BrokerId::NONE.0,
        cluster_authorized_operations: OPERATIONS_NOT_ASKED,
    })
}
