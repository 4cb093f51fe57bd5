/// Where C keeps the parts of a slot, for code that is inlined into a host's own: that sees no C types.
///
/// codec_slots.c asserts the same numbers, so a change of `CLuaSlot` does not compile.
@usableFromInline
enum SlotLayout {
    @inlinable static var stride: Int { 32 }
    @inlinable static var word: Int { 8 }

    @inlinable static var falsehood: UInt8 { 1 }
    @inlinable static var truth: UInt8 { 2 }
    @inlinable static var integer: UInt8 { 3 }
    @inlinable static var number: UInt8 { 4 }

    /// The word of the slot of an argument, counted from 1, if it is there and has the tag.
    @inlinable @inline(__always)
    static func word(_ slots: UnsafeRawPointer, _ count: Int, _ index: Int, tag: UInt8) -> Int64? {
        guard index >= 1, index <= count else { return nil }
        let slot = slots + (index - 1) * stride
        guard slot.load(as: UInt8.self) == tag else { return nil }
        return slot.load(fromByteOffset: word, as: Int64.self)
    }
}
