"""How fast people are rendered: ``python benchmarks/synthetic.py --wardrobe .lab/wardrobe --device cuda``."""

import argparse
import time

import torch

from liquidwarp.synthetic.dataset import SyntheticPeople


def main() -> None:
    """Time batches and print the median and each stage's share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wardrobe", required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--profile", action="store_true", help="print the costliest operations")
    args = parser.parse_args()
    people = SyntheticPeople.load(args.wardrobe, args.device)
    times = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        batch = people.sample(args.people, args.views, args.size)
        batch.photos.mean().item()
        times.append(time.perf_counter() - start)
    steady = sorted(times[1:] or times)
    print(f"{args.people} x {args.views} at {args.size} px on {args.device}: {1e3 * steady[len(steady) // 2]:.0f} ms")
    if args.device != "cpu":
        print(f"memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    if args.profile:
        activities = [torch.profiler.ProfilerActivity.CPU]
        activities += [torch.profiler.ProfilerActivity.CUDA] if args.device != "cpu" else []
        with torch.profiler.profile(activities=activities) as profile:
            people.sample(args.people, args.views, args.size)
        key = "self_cpu_time_total" if args.device == "cpu" else "self_cuda_time_total"
        print(profile.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=50))


if __name__ == "__main__":
    main()
