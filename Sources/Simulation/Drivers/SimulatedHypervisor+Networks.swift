package import Hypervisors

/// Networks made for tests, as libvirt makes them.
extension SimulatedHypervisor {
    package func networkDefinition(named name: String) async throws -> NetworkDefinition? {
        try await look("network", name) { $0.madeNetworks[name] }
    }

    package func defineNetwork(_ definition: NetworkDefinition) async throws {
        _ = try definition.xml()
        try await act("define-network", definition.name) { state, _ in
            let isForeign = state.hosts[host]?.networks.contains(definition.name) == true
            let present = state.hosts[host]?.madeNetworks[definition.name]
            guard !isForeign, present == nil || present?.mark == definition.mark else { throw foreign(definition.name) }
            if present == nil { state.hosts[host]?.madeNetworks[definition.name] = definition }
        }
    }

    package func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        try await act("remove-network", name) { state, _ in
            if state.hosts[host]?.networks.contains(name) == true { throw foreign(name) }
            guard let present = state.hosts[host]?.madeNetworks[name] else { return }
            guard present.mark == mark else { throw foreign(name) }
            state.hosts[host]?.madeNetworks[name] = nil
        }
    }

    private func foreign(_ name: String) -> HypervisorError {
        HypervisorError(
            .busy, "network '\(name)' is there and was not made for this test",
            hint: "remove or rename it at the host if it is left over")
    }
}
