import Foundation

/// What a guest says of its own log, over HTTP.
package struct GuestReport: Sendable, Hashable, Codable {
    /// The guest's label.
    package let host: String
    /// New at each boot of the guest.
    package let bootID: String
    /// Records durable on all disks now.
    package let records: UInt64
    /// The guest's clock at the newest record, in ms since 1970.
    ///
    /// That clock is set from a clock of whole seconds at boot: it is up to two seconds slow, never fast. `now` tells
    /// by how much.
    package let last: UInt64
    /// Records found at boot.
    package let bootRecords: UInt64
    /// The time of the newest of them, in ms since 1970; 0 when there was none.
    package let bootLast: UInt64
    /// Whether every chain was whole and the disks were of one instant.
    package let intact: Bool
    /// The checksum of the chain up to the newest record, in hexadecimal.
    package let chain: String
    package let disks: Int
    package let paused: Bool
    /// What is wrong with the log, or empty.
    package let error: String
    /// The guest's clock now, in ms since 1970.
    package let now: UInt64
    /// Seconds since the guest's boot.
    package let uptime: Double

    private enum CodingKeys: String, CodingKey {
        case host, records, intact, chain, disks, paused, error
        case bootID = "boot_id"
        case last = "last_ms"
        case bootRecords = "boot_records"
        case bootLast = "boot_last_ms"
        case now = "now_ms"
        case uptime = "up_s"
    }
}

/// A request a guest's HTTP server obeys; each is answered with a report.
package enum GuestRequest: String, Sendable {
    case report = ""
    /// Stop writing until `resume`.
    case pause
    case resume
    /// Kill QEMU's guest agent, where it runs in the guest.
    case killAgent = "kill-agent"
    /// Read all disks again and judge them.
    case verify
}

extension Lab {
    /// Asks a guest for its report, from inside its site's network.
    ///
    /// - Parameter network: the network the guest is at; its production network unless given.
    /// - Throws: `commandFailed` when it does not answer within `limit` seconds.
    package func report(
        from address: String, at site: SiteName, network: String? = nil, request: GuestRequest = .report, limit: Int = 5
    ) async throws(LabError) -> GuestReport {
        let layout = layout(of: site)
        guard let bridge = site.bridges.first(where: { $0.network == network ?? site.bridges[0].network }) else {
            throw LabError(.notFound, "Site \(site.rawValue) has no network '\(network ?? "")'.")
        }
        var words = ["nsenter", "--net=\(layout.networkHandle)", "curl", "--silent", "--show-error", "--fail"]
        words += ["--max-time", "\(limit)", "--interface", bridge.bridge]
        if request != .report { words += ["--request", "POST"] }
        let answer = try await Command(words + ["http://\(address)/\(request.rawValue)"]).output()
        do {
            return try JSONDecoder().decode(GuestReport.self, from: Data(answer.utf8))
        } catch {
            throw LabError(.invalid, "\(address) did not answer as a guest of the lab.", cause: error)
        }
    }
}
