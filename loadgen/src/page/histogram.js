// A histogram of the result as numbers: HdrHistogram V2 in its compressed form, in base64.

const V2 = 0x1c849313, V2_COMPRESSED = 0x1c849314, HALF = 1024;

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The buckets that have samples, as {value, count} from the least on; value is a bucket's highest.
async function decode(coded) {
  if (!coded || !coded.histogram) return [];
  const bytes = Uint8Array.from(atob(coded.histogram), (c) => c.charCodeAt(0));
  const head = new DataView(bytes.buffer);
  if (head.getUint32(0) !== V2_COMPRESSED) throw new Error("a histogram is not of V2");
  const plain = await inflate(bytes.subarray(8, 8 + head.getUint32(4)));
  const view = new DataView(plain.buffer);
  if (view.getUint32(0) !== V2 || view.getUint32(12) !== 3) throw new Error("a histogram is not of three digits");
  const end = 40 + view.getUint32(4), buckets = [];
  for (let at = 40, bucket = 0; at < end;) {
    let number = 0, scale = 1, byte;
    // ZigZag LEB128: seven bits a byte, the ninth byte whole.
    for (let k = 0; k < 9; k++, scale *= 128) {
      byte = plain[at++];
      number += (k < 8 ? byte & 127 : byte) * scale;
      if (k < 8 && byte < 128) break;
    }
    const count = number % 2 === 0 ? number / 2 : -(number + 1) / 2;
    if (count < 0) {
      bucket -= count;
    } else {
      if (count > 0) buckets.push({ value: highest(bucket), count });
      bucket++;
    }
  }
  const sum = buckets.reduce((sum, one) => sum + one.count, 0);
  if (sum !== coded.count) throw new Error(`a histogram holds ${sum} samples, not its ${coded.count}`);
  return buckets;
}

function highest(bucket) {
  const power = Math.max(Math.floor(bucket / HALF) - 1, 0);
  const width = 2 ** power;
  return (bucket - power * HALF) * width + width - 1;
}

const samples = (buckets) => buckets.reduce((sum, one) => sum + one.count, 0);

function quantile(buckets, share) {
  const wanted = Math.max(Math.ceil(samples(buckets) * share - 1e-9), 1);
  let seen = 0;
  for (const { value, count } of buckets) {
    seen += count;
    if (seen >= wanted) return value;
  }
  return null;
}

// Fewer than 100 samples beyond a percentile: a few stalls decide it.
const isFew = (count, share) => count * (1 - share) + 1e-6 < 100;
