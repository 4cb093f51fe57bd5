import Foundation
import Glibc
import SiteModel
import TestSupport
import Testing

@testable import RecoveryEngine

@Suite("Figures for Prometheus")
struct MetricsTests {
    private let fixed = MetricsText.render([
        MetricFamily(
            "perilune_x_total", .counter, "With a \\ and\na line end.",
            [
                MetricSample(1, [("vm", "a \"quoted\" \\ name\nof two lines"), ("cloud", "")]),
                MetricSample(9_007_199_254_740_00, [("vm", "b")]),
            ]),
        MetricFamily("perilune_none", .gauge, "Has no figures.", []),
        MetricFamily(
            "perilune_y_seconds", .gauge, "Odd ones.", [MetricSample(.infinity), MetricSample(0.25, [("k", "ü")])]),
    ])

    @Test("Values and labels come back as they were")
    func format() throws {
        let parsed = try ParsedMetrics(fixed)
        #expect(parsed.types == ["perilune_x_total": "counter", "perilune_y_seconds": "gauge"])
        #expect(parsed.help["perilune_x_total"] == "With a \\\\ and\\na line end.")
        #expect(parsed.value("perilune_x_total", ["vm": "a \"quoted\" \\ name\nof two lines"]) == 1)
        #expect(parsed.value("perilune_x_total", ["vm": "b"]) == 9_007_199_254_740_00)
        #expect(parsed.value("perilune_y_seconds", ["k": "ü"]) == 0.25)
        #expect(fixed.contains("perilune_y_seconds +Inf\n"))
    }

    private func rig() async throws -> Rig {
        let rig = try await Rig(vms: ["orders", "stock"])
        for vm in ["orders", "stock"] { try await rig.protect(vm) }
        for _ in 1...3 { try await rig.cycle("orders") }
        return rig
    }

    @Test("Each figure of a VM is there, named with its unit, and true")
    func content() async throws {
        let rig = try await rig()
        rig.clock.advance(seconds: 7)
        var figures = ReplicatorFigures()
        figures.begun = 12
        let parsed = try ParsedMetrics(try await rig.engine.metrics(scheduler: figures))
        let orders = ["vm": "orders", "cloud": "gold", "source": "a", "target": "b"]
        func value(_ name: String, _ more: [String: String] = [:]) -> Double? {
            parsed.value("perilune_replication_" + name, orders.merging(more) { $1 })
        }
        #expect(value("health", ["health": "normal"]) == 1 && value("health", ["health": "critical"]) == 0)
        #expect(value("state", ["state": "protected"]) == 1)
        #expect(value("copy_frequency_seconds") == 30)
        #expect(value("window_cycles_succeeded") == 4 && value("window_cycles_missed") == 0)
        #expect(value("cycles_total", ["result": "succeeded"]) == 4)
        #expect(value("failures_total", ["cause": "network"]) == 0)
        let newest = try #require(try await rig.points("orders").max { $0.number < $1.number })
        #expect(value("recovery_point_age_seconds") == rig.clock.now.seconds(since: newest.at))
        #expect(value("recovery_point_timestamp_seconds") == Double(newest.at.milliseconds) / 1000)
        let sent = try await rig.points("orders").reduce(0) { $0 + $1.bytes }
        #expect(value("sent_bytes_total").map { $0 >= Double(sent) } == true)
        #expect(parsed.value("perilune_replications", ["health": "warning"]) == 1, "stock has missed its cycles")
        #expect(parsed.value("perilune_scheduler_cycles_total", ["event": "begun"]) == 12)
        #expect(parsed.value("perilune_jobs_open") == 0)
        for (name, type) in parsed.types {
            #expect(name.hasPrefix("perilune_") && parsed.help[name] != nil)
            #expect((type == "counter") == name.hasSuffix("_total"), "\(name)")
        }
    }

    @Test("A file of figures is replaced as a whole; one that cannot be written says so")
    func file() throws {
        let scratch = try Scratch()
        defer { scratch.remove() }
        let file = MetricsFile(path: scratch("perilune.prom"))
        try file.write("one\n")
        try file.write(fixed)
        #expect(try String(contentsOfFile: file.path, encoding: .utf8) == fixed)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["perilune.prom"])
        #expect(throws: EngineError.self) { try MetricsFile(path: scratch("none/x.prom")).write("") }
    }

    @Test(
        "Where figures are served",
        arguments: [
            ("9732", "127.0.0.1:9732"), ("0.0.0.0:80", "0.0.0.0:80"), ("[::1]:9732", "[::1]:9732"),
            ("localhost:1", nil),
            ("127.0.0.1", nil), ("1.2.3.4:", nil), (":9", nil), ("1.2.3.4:70000", nil), ("", nil), ("1.2.3.4:+9", nil),
        ] as [(String, String?)])
    func addresses(text: String, read: String?) {
        #expect((try? MetricsAddress(text))?.description == read)
    }

    private func curl(_ arguments: [String]) async throws -> (status: Int32, text: String) {
        let words = ["curl", "--disable", "--silent", "--max-time", "200", "--noproxy", "*"]
        let result = try await Program.result(of: words + arguments)
        return (result.status, result.output)
    }

    @Test("curl scrapes figures of now, on loopback, and nothing else is served")
    func scrape() async throws {
        let rig = try await rig()
        let server = try MetricsServer(at: MetricsAddress("127.0.0.1:0")) { try await rig.engine.metrics() }
        let url = "http://127.0.0.1:\(server.port)"
        let first = try await curl(["--fail", url + "/metrics"])
        #expect(first.status == 0)
        #expect(
            try ParsedMetrics(first.text).value(
                "perilune_replication_cycles_total", ["vm": "orders", "result": "succeeded"]) == 4)
        try await rig.cycle("orders")
        let second = try await curl(["--fail", "--include", url + "/metrics?debug=1"])
        #expect(second.text.contains("Content-Type: text/plain; version=0.0.4"))
        #expect(second.text.contains("result=\"succeeded\"} 5\n"))
        let code = ["--output", "/dev/null", "--write-out", "%{http_code}"]
        #expect(try await curl(code + [url + "/"]).text == "404")
        #expect(try await curl(code + ["--request", "POST", "--data", "x", url + "/metrics"]).text == "405")
        #expect(
            try await curl(code + ["--header", "X: " + String(repeating: "x", count: 9000), url + "/metrics"]).text
                != "200")
        #expect(try await curl(code + ["--head", url + "/metrics"]).text == "200")
        await server.close()
        #expect(try await curl([url + "/metrics"]).status == 7)
    }

    @Test("A vault that cannot be read is 503, and a port that is taken an error that says so")
    func failures() async throws {
        struct Secret: Error {}
        let server = try MetricsServer(at: MetricsAddress("127.0.0.1:0")) { throw Secret() }
        let answer = try await curl(["--include", "http://127.0.0.1:\(server.port)/metrics"])
        #expect(answer.text.contains("503") && !answer.text.contains("Secret"))
        let error = #expect(throws: EngineError.self) {
            _ = try MetricsServer(at: MetricsAddress("127.0.0.1:\(server.port)")) { "" }
        }
        #expect(error?.message.contains("127.0.0.1:\(server.port)") == true)
        await server.close()
    }
}
