internal import CLibvirt
internal import Foundation

extension LibvirtHypervisor {
    package func networkDefinition(named name: String) async throws -> NetworkDefinition? {
        try await call { connection in
            guard let network = try Self.findNetwork(name, connection) else { return nil }
            defer { virNetworkFree(network) }
            return try Self.definition(network)
        }
    }

    package func defineNetwork(_ definition: NetworkDefinition) async throws {
        let xml = try definition.xml()
        try await call { connection in
            let network: OpaquePointer
            if let present = try Self.findNetwork(definition.name, connection) {
                network = present
                do { try Self.require(definition.mark, on: network) } catch {
                    virNetworkFree(network)
                    throw error
                }
            } else {
                guard let made = virNetworkDefineXML(connection, xml) else {
                    throw LibvirtLibrary.error("define network '\(definition.name)'")
                }
                network = made
            }
            defer { virNetworkFree(network) }
            let active = virNetworkIsActive(network)
            try LibvirtLibrary.check(active, "ask whether network '\(definition.name)' runs")
            guard active == 0 else { return }
            try LibvirtLibrary.check(virNetworkCreate(network), "start network '\(definition.name)'")
        }
    }

    package func removeNetwork(named name: String, mark: NetworkDefinition.Mark) async throws {
        try await call { connection in
            guard let network = try Self.findNetwork(name, connection) else { return }
            defer { virNetworkFree(network) }
            try Self.require(mark, on: network)
            let active = virNetworkIsActive(network)
            try LibvirtLibrary.check(active, "ask whether network '\(name)' runs")
            if active == 1 { try LibvirtLibrary.check(virNetworkDestroy(network), "end network '\(name)'") }
            let persistent = virNetworkIsPersistent(network)
            // One without a stored definition is gone with its end.
            if persistent == 1 {
                try LibvirtLibrary.check(virNetworkUndefine(network), "remove network '\(name)'")
            }
        }
    }

    /// Asks whoever may know, in the order of how much their word is worth.
    package func guestAddresses(uuid: String) async throws -> [String: [String]] {
        try await onDomain(uuid) { domain in
            guard try Self.isActive(domain) else { return [:] }
            for source in [
                VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT, VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE,
                VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP,
            ] {
                let found = Self.addresses(domain, source.rawValue)
                if !found.isEmpty { return found }
            }
            return [:]
        }
    }

    /// What one source says; a source that cannot say (no agent, no DHCP server) says nothing.
    private static func addresses(_ domain: OpaquePointer, _ source: UInt32) -> [String: [String]] {
        var list: UnsafeMutablePointer<virDomainInterfacePtr?>?
        let count = virDomainInterfaceAddresses(domain, &list, source, 0)
        guard count >= 0, let list else { return [:] }
        defer { free(list) }
        var found: [String: [String]] = [:]
        for interface in UnsafeBufferPointer(start: list, count: Int(count)).compactMap({ $0 }) {
            defer { virDomainInterfaceFree(interface) }
            guard let mac = interface.pointee.hwaddr.map({ String(cString: $0).lowercased() }),
                let addresses = interface.pointee.addrs
            else { continue }
            let texts = UnsafeBufferPointer(start: addresses, count: Int(interface.pointee.naddrs))
                .compactMap { $0.addr.map { String(cString: $0) } }
            if !texts.isEmpty { found[mac, default: []] += texts }
        }
        return found
    }

    /// The network's handle, to be freed by the caller; nil when there is none.
    private static func findNetwork(_ name: String, _ connection: OpaquePointer) throws -> OpaquePointer? {
        if let network = virNetworkLookupByName(connection, name) { return network }
        let error = LibvirtLibrary.error("find network '\(name)'")
        if error.code == .unknownNetwork { return nil }
        throw error
    }

    private static func definition(_ network: OpaquePointer) throws -> NetworkDefinition {
        try NetworkDefinition(
            xml: LibvirtLibrary.take(virNetworkGetXMLDesc(network, 0), "read the definition of a network"))
    }

    private static func require(_ mark: NetworkDefinition.Mark?, on network: OpaquePointer) throws {
        let present = try definition(network)
        guard let mark, present.mark == mark else {
            throw HypervisorError(
                .busy, "network '\(present.name)' is there and was not made for this test",
                hint: "remove or rename it at the host if it is left over; its metadata says what it was made for")
        }
    }
}
