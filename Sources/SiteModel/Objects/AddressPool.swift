/// The static addresses that a subnet gives to VMs: a range, less what is kept back.
package struct AddressPool: Codable, Hashable, Sendable {
    package var first: IPv4Address
    package var last: IPv4Address
    /// Addresses of the range that are never given out.
    package var reserved: [IPv4Address]

    package init(first: IPv4Address, last: IPv4Address, reserved: [IPv4Address] = []) {
        self.first = first
        self.last = last
        self.reserved = reserved
    }

    package func contains(_ address: IPv4Address) -> Bool {
        first <= address && address <= last && !reserved.contains(address)
    }

    /// The address to give: the preferred one if the pool has it and it is free, else the lowest free one; nil when none is.
    ///
    /// The preferred address is the one that the VM had before, so that it keeps it wherever it can (reference 5.3).
    package func allocate(preferred: IPv4Address?, taken: Set<IPv4Address>) -> IPv4Address? {
        if let preferred, contains(preferred), !taken.contains(preferred) { return preferred }
        guard first <= last else { return nil }
        // At most as many steps as addresses are gone, so a pool of any size is quick.
        for value in first.value...last.value {
            let address = IPv4Address(value: value)
            if !taken.contains(address), contains(address) { return address }
        }
        return nil
    }
}
