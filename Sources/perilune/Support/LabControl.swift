import Foundation
import Lab
import RecoveryScripting

/// The lab, as scripts that were granted it see it.
struct LabControl: LabPower {
    let lab: Lab

    init(root: String) throws {
        lab = Lab(try LabConfiguration(root: root, agentProgram: OwnProgram.path()))
    }

    func site(_ name: String) async throws -> LabSite {
        let name = try SiteName(parsing: name)
        // A host that was registered from the description of a lab that is not there answers nobody.
        try lab.checkIsThere()
        let site = lab.siteDescription(name)
        return LabSite(
            name: site.name, uri: site.libvirtURI, agent: site.agentSocket, address: site.agentDataAddress,
            store: site.store, fence: site.fence)
    }

    func address(ofGuest name: String) async throws -> String {
        guard let guest = LabGuest.standard.first(where: { $0.name == name }) else {
            throw LabError(
                .notFound, "The lab has no guest '\(name)'.",
                hint: "it has: \(LabGuest.standard.map(\.name).joined(separator: ", "))")
        }
        try lab.checkIsThere()
        return guest.address
    }

    /// Guests say `POWEROFF ... records=N` on their consoles; all boots of a guest share one console, the last one counts.
    ///
    /// The console of a guest that was defined at one site is the same file when it runs at the other.
    func recordsAtPowerOff(ofGuest name: String, site: String) async throws -> Int64? {
        _ = try await address(ofGuest: name)
        let file = lab.layout(of: .a).console(of: name)
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
        // A serial line ends in CR LF, which Swift takes for one character.
        let line = text.split(whereSeparator: \.isNewline).last { $0.contains("POWEROFF") }
        let figure = line?.split(separator: " ").first { $0.hasPrefix("records=") }?.dropFirst("records=".count)
        return figure.flatMap { Int64($0.prefix { $0.isNumber }) }
    }

    func lose(_ site: String) async throws {
        try await lab.lose(SiteName(parsing: site))
    }

    func restore(_ site: String) async throws {
        try await lab.returnSite(SiteName(parsing: site))
    }
}

extension LabError: PowerError {
    package var advice: String? { hint }
}
