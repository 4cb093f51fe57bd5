import Foundation
import SiteModel
import Synchronization

/// What `replicate` prints: each point, and each trouble once.
final class ReplicationReport: JobObserver {
    /// Seconds for which a trouble that was told of is not told of again.
    private static let silence: TimeInterval = 60

    private struct Trouble {
        var text: String
        var times = 1
        var toldAt: Date
    }

    private struct State {
        var lastTold: [String: String] = [:]
        var troubles: [String: Trouble] = [:]
    }

    private let state = Mutex(State())

    /// A cycle that has ended well becomes a line.
    func update(_ job: Job, _ vm: String) {
        guard job.operation == .sync, job.state == .succeeded else { return }
        let line: String? = state.withLock { state in
            guard state.lastTold[vm] != job.id else { return nil }
            state.lastTold[vm] = job.id
            let before = state.troubles.removeValue(forKey: vm).map { " (after \(Self.times($0.times)) failing)" }
            let bytes = job.facts["bytes"].flatMap { UInt64($0) }.map { ", \(Text.bytes($0))" } ?? ""
            let seconds = job.facts["seconds"].flatMap { Double($0) }.map { " in \(Text.duration($0))" } ?? ""
            return "\(vm): point \(job.facts["point"] ?? "?")\(bytes)\(seconds)\(before ?? "")"
        }
        if let line { Terminal.say(line) }
    }

    /// What the replicator itself says: points are left out, as `update` tells of them in figures for people.
    func say(_ line: String) {
        guard let colon = line.firstRange(of: ": ") else { return Terminal.say(line) }
        let (vm, text) = (String(line[..<colon.lowerBound]), String(line[colon.upperBound...]))
        guard !text.hasPrefix("point ") else { return }
        if let line = state.withLock({ Self.notice(vm, text, &$0) }) { Terminal.say(line) }
    }

    private static func notice(_ vm: String, _ text: String, _ state: inout State) -> String? {
        guard var trouble = state.troubles[vm], trouble.text == text else {
            state.troubles[vm] = Trouble(text: text, toldAt: Date())
            return "\(vm): \(text)"
        }
        trouble.times += 1
        let isDue = Date().timeIntervalSince(trouble.toldAt) >= silence
        if isDue { trouble.toldAt = Date() }
        state.troubles[vm] = trouble
        return isDue ? "\(vm): still failing (\(times(trouble.times)))" : nil
    }

    private static func times(_ count: Int) -> String { count == 1 ? "1 time" : "\(count) times" }
}
