import numpy as np
import pandas as pd
from PIL import Image

from morphtools.training.tested_galaxies import write_tested
from tfrecords_builder.build import build_records


def test_the_test_of_a_run_is_read_beside_its_catalogue_whether_that_is_a_file_or_in_records(tmp_path):
    for i in range(4):
        Image.fromarray(np.full((8, 8), 9 * i, np.uint8)).save(tmp_path / f"{i}.png")
    catalog = pd.DataFrame({"id_str": list("abcd"), "file_loc": [f"{i}.png" for i in range(4)], "mag": [1.5, 2, 3, 4]})
    catalog.to_csv(tmp_path / "catalog.csv", index=False)
    records = build_records(catalog, tmp_path / "records", images=tmp_path)
    predicted = pd.DataFrame({"id_str": ["d", "b"], "mag_predicted": [3.9, 2.1]})
    write_tested(tmp_path, predicted, catalog=tmp_path / "catalog.csv", records=None)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table.to_numpy().tolist() == [["b", "1.png", 2, 2.1], ["d", "3.png", 4, 3.9]]
    write_tested(tmp_path, predicted, catalog=None, records=records)
    other = pd.read_csv(tmp_path / "predictions.csv").drop(columns="split").sort_values("id_str")
    pd.testing.assert_frame_equal(other.reset_index(drop=True), table)
