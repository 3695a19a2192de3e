package needle

import "encoding/binary"

// maxRaw bounds what one compressed value may become, in bytes.
const maxRaw = 1 << 20

// Compressed reports what every value says that PostgreSQL keeps compressed within a row in
// data: a page, a file of pages, or a record of its log, whatever the alignment. A value is
// known by its header (varatt.h: four bytes of length with the mark of compression, four of
// the length without it and the method) and by coming out whole. It returns how many values
// have the header of another method than pglz, which it cannot read.
//
//go:norace
func Compressed(data []byte, value func(raw []byte)) (others int) {
	for i := 0; i+8 < len(data); i++ {
		header := binary.LittleEndian.Uint32(data[i:])
		if header&3 != 2 { // not "four bytes of header, compressed"
			continue
		}
		length := int(header >> 2)
		if length <= 8 || length > 8192 || i+length > len(data) {
			continue
		}
		info := binary.LittleEndian.Uint32(data[i+4:])
		size, method := int(info&0x3FFFFFFF), info>>30
		if size <= length-8 || size > maxRaw || method > 1 {
			continue
		}
		if method == 1 {
			if plausible(data[i+8 : i+length]) {
				others++
			}
			continue
		}
		if raw, ok := pglz(data[i+8:i+length], size); ok {
			value(raw)
			i += length - 1
		}
	}
	return others
}

// plausible reports whether bytes could be an LZ4 block: its last sequence is literals alone,
// five at least (lz4_Block_format.md, "End of block conditions").
func plausible(block []byte) bool {
	for i := 0; i < len(block); {
		token := block[i]
		i++
		literals, ok := lz4Length(block, &i, int(token>>4))
		if !ok {
			return false
		}
		i += literals
		if i == len(block) {
			return literals >= 5
		}
		if i+2 > len(block) || block[i] == 0 && block[i+1] == 0 {
			return false
		}
		i += 2
		if _, ok := lz4Length(block, &i, int(token&15)); !ok {
			return false
		}
	}
	return false
}

func lz4Length(block []byte, i *int, n int) (int, bool) {
	if n < 15 {
		return n, true
	}
	for *i < len(block) {
		b := block[*i]
		*i++
		n += int(b)
		if b != 255 {
			return n, true
		}
	}
	return 0, false
}

// pglz undoes PostgreSQL's own compression (pg_lzcompress.c): a control byte says of each of
// the eight items after it whether it is a byte, or the place and length of bytes before.
func pglz(in []byte, size int) (out []byte, ok bool) {
	out = make([]byte, 0, size)
	for i := 0; i < len(in); {
		control := in[i]
		i++
		for bit := 0; bit < 8 && i < len(in) && len(out) < size; bit++ {
			if control>>bit&1 == 0 {
				out = append(out, in[i])
				i++
				continue
			}
			if i+2 > len(in) {
				return nil, false
			}
			length, back := int(in[i]&0x0f)+3, int(in[i]&0xf0)<<4|int(in[i+1])
			i += 2
			if length == 18 {
				if i >= len(in) {
					return nil, false
				}
				length += int(in[i])
				i++
			}
			if back == 0 || back > len(out) {
				return nil, false
			}
			for length = min(length, size-len(out)); length > 0; length-- {
				out = append(out, out[len(out)-back])
			}
		}
		if len(out) == size {
			return out, i == len(in)
		}
	}
	return out, len(out) == size
}
