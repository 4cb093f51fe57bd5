/// What libvirt and the agents do, as far as the engine counts on it: tried on real guests and on the simulated site alike.
///
/// A simulation that drifts from libvirt, or a libvirt that behaves otherwise than was seen, breaks a case by name.
package struct DriverContract: Sendable, CustomStringConvertible {
    package let name: String
    package var description: String { name }
    private let body: @Sendable (any ContractSite) async throws -> Void

    init(_ name: String, _ body: @escaping @Sendable (any ContractSite) async throws -> Void) {
        self.name = name
        self.body = body
    }

    package static let cases: [DriverContract] =
        definitionCases + powerCases + checkpointCases + agentCases + pointCases + legCases + imageCases

    /// Tries the case and leaves the site as it was; throws what is not as it must be.
    package func tryOut(on site: any ContractSite) async throws {
        try await site.tidyUp()
        do {
            try await body(site)
        } catch {
            try? await site.tidyUp()
            throw error
        }
        try await site.tidyUp()
    }
}
