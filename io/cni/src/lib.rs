//! A CNI plugin library: protocol, results, errors and kernel work, knowing nothing of sart.
