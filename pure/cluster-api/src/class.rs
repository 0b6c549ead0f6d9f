use k8s_openapi::api::core::v1::Service;

use crate::keys;

/// Which Services are sart's, by `spec.loadBalancerClass`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassRule {
    /// Leave Services without a class to others (`--require-class`).
    pub require_class: bool,
}

impl ClassRule {
    /// Whether a Service is of type LoadBalancer and of a class that is sart's.
    pub fn is_ours(self, service: &Service) -> bool {
        let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        kind == Some("LoadBalancer") && self.has_our_class(service)
    }

    /// Whether a Service, of whatever type, is of a class that is sart's.
    pub fn has_our_class(self, service: &Service) -> bool {
        let class = service.spec.as_ref().and_then(|spec| spec.load_balancer_class.as_deref());
        match class {
            None => !self.require_class,
            Some(class) => class == keys::LOAD_BALANCER_CLASS,
        }
    }
}
