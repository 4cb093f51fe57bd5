import RecoveryEngine
import SiteModel

/// A test VM as people look for it: where it runs, how it is reached, and when it ends.
enum TestText {
    static func lines(of row: VMStatus) -> [String] {
        guard let test = row.relationship.test else { return [] }
        let vm = row.relationship.name
        var lines = [
            "test VM \(test.vmName) at \(row.target?.name ?? "?")" + (test.point.map { ", point \($0)" } ?? "")
        ]
        lines += (test.nics ?? []).map(nic)
        lines += (test.networks ?? []).map { "network \($0.name) (bridge \($0.bridge)) stands for \($0.stands)" }
        lines.append(
            "ends \(Text.time(test.endsAt)) at the latest; before that: perilune clean-up-test \(Text.word(vm))")
        return lines
    }

    private static func nic(_ nic: PlacedNIC) -> String {
        guard let network = nic.network else { return "NIC \(nic.mac): not connected" }
        let address =
            nic.address.map { "\($0.address)" }
            ?? (nic.dhcp ? "address by DHCP" : "no address is told to the guest: it keeps its own")
        return "NIC \(nic.mac) in \(network): \(address)"
    }
}
