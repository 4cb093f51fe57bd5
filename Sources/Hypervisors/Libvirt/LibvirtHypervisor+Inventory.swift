internal import CLibvirt
internal import Foundation

extension LibvirtHypervisor {
    package func information() async throws -> HypervisorInformation {
        try await call { connection in
            let doing = "ask the host who it is"
            let name = try LibvirtLibrary.take(virConnectGetHostname(connection), doing)
            var library: UInt = 0
            try LibvirtLibrary.check(virConnectGetLibVersion(connection, &library), doing)
            var hypervisor: UInt = 0
            try LibvirtLibrary.check(virConnectGetVersion(connection, &hypervisor), doing)
            let capabilities = try LibvirtLibrary.take(virConnectGetCapabilities(connection), doing)
            let uuid = try XMLTree(parsing: capabilities).child("host")?.child("uuid")?.text ?? ""
            return HypervisorInformation(
                hostName: name, hostUUID: uuid, libraryVersion: Self.version(library),
                hypervisorVersion: Self.version(hypervisor))
        }
    }

    /// libvirt counts versions as 1,000,000 * major + 1,000 * minor + release.
    private static func version(_ number: UInt) -> String {
        "\(number / 1_000_000).\(number / 1000 % 1000).\(number % 1000)"
    }

    package func networks() async throws -> [String] {
        try await call { connection in
            var list: UnsafeMutablePointer<OpaquePointer?>?
            let count = virConnectListAllNetworks(connection, &list, 0)
            guard count >= 0 else {
                let error = LibvirtLibrary.error("list the host's networks")
                // A host without the network driver has no networks.
                if LibvirtLibrary.isNumber(error, VIR_ERR_NO_SUPPORT) { return [] }
                throw error
            }
            return Self.takeAll(list, count, free: virNetworkFree) { network in
                virNetworkGetName(network).map { String(cString: $0) }
            }.sorted()
        }
    }

    package func domains() async throws -> [Domain] {
        try await call { connection in
            var list: UnsafeMutablePointer<OpaquePointer?>?
            let count = virConnectListAllDomains(connection, &list, 0)
            try LibvirtLibrary.check(count, "list the host's VMs")
            return try Self.takeAll(list, count, free: virDomainFree, Self.describe)
                .sorted { ($0.name, $0.uuid) < ($1.name, $1.uuid) }
        }
    }

    package func domain(uuid: String) async throws -> Domain? {
        try await call { connection in
            guard let domain = try Self.find(uuid, connection) else { return nil }
            defer { virDomainFree(domain) }
            return try Self.describe(domain)
        }
    }

    package func domain(named name: String) async throws -> Domain? {
        try await call { connection in
            guard let domain = virDomainLookupByName(connection, name) else {
                let error = LibvirtLibrary.error("find VM '\(name)'")
                if error.code == .unknownDomain { return nil }
                throw error
            }
            defer { virDomainFree(domain) }
            return try Self.describe(domain)
        }
    }

    package func inactiveXML(uuid: String) async throws -> String {
        try await onDomain(uuid) { try Self.xml($0, inactive: true) }
    }

    /// Turns a list of handles that libvirt allocated into values, and frees it all.
    static func takeAll<Value>(
        _ list: UnsafeMutablePointer<OpaquePointer?>?, _ count: Int32, free release: (OpaquePointer?) -> Int32,
        _ body: (OpaquePointer) throws -> Value?
    ) rethrows -> [Value] {
        guard let list else { return [] }
        let handles = UnsafeBufferPointer(start: list, count: Int(max(0, count)))
        defer {
            for handle in handles { _ = release(handle) }
            free(list)
        }
        return try handles.compactMap { try $0.flatMap(body) }
    }

    /// The domain as a value; nil when it has been undefined in the meantime.
    static func describe(_ domain: OpaquePointer) throws -> Domain? {
        do {
            let definition = try definition(domain, inactive: false)
            var info = virDomainInfo()
            try LibvirtLibrary.check(virDomainGetInfo(domain, &info), "read the state of VM '\(definition.name)'")
            var autostart: Int32 = 0
            // A VM that is running without a definition has no such flag.
            if virDomainGetAutostart(domain, &autostart) < 0 { autostart = 0 }
            return Domain(
                name: definition.name, uuid: definition.uuid ?? "", power: try power(domain),
                autostart: autostart != 0, memoryMiB: Int(info.maxMem / 1024),
                disks: definition.disks.map { disk in
                    DomainDisk(
                        target: disk.target, path: disk.path, format: disk.format,
                        isReadOnly: disk.isReadOnly || disk.device != "disk", size: size(domain, disk),
                        isShareable: disk.isShareable)
                }, nics: definition.nics)
        } catch let error as HypervisorError where error.code == .unknownDomain {
            return nil
        }
    }

    /// The size that the guest sees.
    ///
    /// libvirt reads it from the image's header when the VM is off.
    private static func size(_ domain: OpaquePointer, _ disk: DomainDefinition.Disk) -> UInt64? {
        guard disk.path != nil else { return nil }
        var info = virDomainBlockInfo()
        guard virDomainGetBlockInfo(domain, disk.target, &info, 0) == 0, info.capacity > 0 else { return nil }
        return info.capacity
    }

    /// The state in our words.
    ///
    /// A VM whose QEMU was killed is `crashed` (and off) until it is started again: its
    /// bitmaps are lost (see `checkpointUnusable`).
    static func power(_ domain: OpaquePointer) throws -> PowerState {
        var state: Int32 = 0
        var reason: Int32 = 0
        try LibvirtLibrary.check(virDomainGetState(domain, &state, &reason, 0), "read the VM's state")
        switch UInt32(state) {
        case VIR_DOMAIN_PAUSED.rawValue, VIR_DOMAIN_PMSUSPENDED.rawValue: return .paused
        case VIR_DOMAIN_SHUTDOWN.rawValue: return .shuttingDown
        case VIR_DOMAIN_CRASHED.rawValue:
            // With on_crash=preserve the process is still there, and so are its open disks.
            return try isActive(domain) ? .paused : .crashed
        case VIR_DOMAIN_SHUTOFF.rawValue:
            return UInt32(reason) == VIR_DOMAIN_SHUTOFF_CRASHED.rawValue ? .crashed : .off
        default: return .running
        }
    }
}
