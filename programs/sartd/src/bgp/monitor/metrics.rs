//! Metrics of stations and files.

use std::fmt;

use node_api::v1;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric as _;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// What was published last.
#[derive(Debug, Default)]
pub(in crate::bgp) struct Shown {
    pub(in crate::bgp) stations: Vec<v1::Station>,
    pub(in crate::bgp) mrt: Option<v1::MrtFiles>,
}

type Value<T> = (&'static str, &'static str, fn(&T) -> u64);

impl Shown {
    pub(in crate::bgp) fn encode(&self, to: &mut DescriptorEncoder) -> fmt::Result {
        let gauges: [Value<v1::Station>; 2] = [
            ("sart_bmp_station_up", "Whether a BMP station is connected", |station| {
                u64::from(matches!(station.state.as_str(), "Dumping" | "Live"))
            }),
            ("sart_bmp_station_queued_bytes", "Bytes that wait for a BMP station", |station| {
                station.queued_bytes
            }),
        ];
        for (name, help, value) in gauges {
            let mut encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for station in &self.stations {
                let value = i64::try_from(value(station)).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(encoder.encode_family(&label(station))?)?;
            }
        }
        let counters: [Value<v1::Station>; 3] = [
            ("sart_bmp_station_messages", "Messages to a BMP station", |station| station.messages),
            ("sart_bmp_station_bytes", "Bytes sent to a BMP station", |station| station.bytes),
            ("sart_bmp_station_losses", "How often a connection was lost", |station| {
                station.losses
            }),
        ];
        for (name, help, value) in counters {
            let mut encoder = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for station in &self.stations {
                let value = value(station);
                ConstCounter::new(value).encode(encoder.encode_family(&label(station))?)?;
            }
        }
        let Some(mrt) = &self.mrt else { return Ok(()) };
        let counters: [Value<v1::MrtFiles>; 3] = [
            ("sart_mrt_files", "MRT files that were written", |mrt| mrt.files),
            ("sart_mrt_bytes", "Bytes of MRT files", |mrt| mrt.bytes),
            ("sart_mrt_lost_records", "MRT records not written", |mrt| mrt.lost_records),
        ];
        for (name, help, value) in counters {
            let encoder = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(value(mrt)).encode(encoder)?;
        }
        let (name, help) = ("sart_mrt_failed", "Whether the last MRT file could not be written");
        let encoder = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::from(!mrt.last_error.is_empty())).encode(encoder)
    }
}

fn label(station: &v1::Station) -> [(&'static str, String); 1] {
    [("station", station.address.clone())]
}
