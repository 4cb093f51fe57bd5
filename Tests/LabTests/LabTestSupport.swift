import Foundation
import Glibc
import Lab
import Testing

/// What is left of a lab on the machine, found by other means than the lab's own.
struct LabTraces {
    let root: String

    /// Processes whose command line names the lab's directory.
    ///
    /// Zombies have none.
    func processes() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { entry in
            guard let pid = pid_t(entry), pid != getpid(),
                let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline")
            else { return nil }
            let words = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\0", with: " ")
            return words.contains(root) ? "\(pid): \(words)" : nil
        }
    }

    /// Loop devices whose backing file lies in the lab.
    func loopDevices() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/sys/block").filter { device in
            let file = try? String(contentsOfFile: "/sys/block/\(device)/loop/backing_file", encoding: .utf8)
            return file?.contains(root) ?? false
        }
    }

    /// Mounts of this process's namespace below the lab's directory.
    func mounts() throws -> [Substring] {
        let handle = try #require(FileHandle(forReadingAtPath: "/proc/self/mountinfo"))
        return String(decoding: try handle.readToEnd() ?? Data(), as: UTF8.self).split(separator: "\n").filter {
            $0.contains(root)
        }
    }

    /// Expects that nothing of the lab is on the machine any more.
    func expectNone(_ namespaces: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try processes() == [], sourceLocation: sourceLocation)
        #expect(try loopDevices() == [], sourceLocation: sourceLocation)
        #expect(try mounts() == [], sourceLocation: sourceLocation)
        #expect(!FileManager.default.fileExists(atPath: root), sourceLocation: sourceLocation)
        let handles = (try? FileManager.default.contentsOfDirectory(atPath: "/run/netns")) ?? []
        #expect(handles.filter(namespaces.contains) == [], sourceLocation: sourceLocation)
    }
}

/// Whether tests may make labs; the reason they are skipped otherwise is in each suite's trait.
let mayMakeLabs = geteuid() == 0

/// Makes a lab in a directory of its own, runs `body`, and takes the lab down whatever happened.
func withLab(
    _ name: String, agentProgram: String? = nil, siteBytes: Int64 = 1 << 30, _ body: (Lab) async throws -> Void
) async throws {
    let root = "/tmp/perilune-lab-\(name)-\(getpid())"
    let lab = Lab(try LabConfiguration(root: root, agentProgram: agentProgram, siteBytes: siteBytes))
    do {
        try await body(lab)
    } catch {
        try? await lab.down()
        throw error
    }
    try await timed("lab '\(name)' taken down") { try await lab.down() }
    try LabTraces(root: root).expectNone(SiteName.allCases.map { lab.layout(of: $0).networkNamespace })
}

/// Asks until the answer suits, as a guest's log grows by itself.
func report(
    from address: String, in lab: Lab, at site: SiteName = .a, within limit: Duration = .seconds(120),
    until suits: (GuestReport) -> Bool
) async throws -> GuestReport {
    let deadline = ContinuousClock.now + limit
    while true {
        let report = try await lab.report(from: address, at: site)
        if suits(report) { return report }
        try #require(ContinuousClock.now < deadline, "the guest did not get there: \(report)")
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// Runs `body` and prints how long it took: the figures of the lab in a test's log.
func timed<Value>(_ what: String, _ body: () async throws -> Value) async rethrows -> Value {
    let start = ContinuousClock.now
    let value = try await body()
    let spent = (ContinuousClock.now - start) / .seconds(1)
    print("lab: \(what): \(String(format: "%.2f", spent)) s")
    return value
}
