//! The Linux kernel's network: routes, links, addresses, namespaces, sysctls.
